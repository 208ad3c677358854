# Everything a person needs, from a fresh machine with Python 3.11+ and make:
#
#   make demo         create .venv, run the main job: search, report, export (`runs/demo`, `my_rule.py`)
#   make test         create .venv, run the tests
#   make check        format, lint, types, layers
#   make bench        measure what the README claims
#   make slow         the tests that take long
#   make wheel-check  build the wheel, install it into a clean environment, look at what is there
#   make format       rewrite files to the house format
#   make constraints  resolve every dependency anew and rewrite constraints.txt
#   make clean        remove .venv and tool caches (never `runs/`)
#
# PYTHON=python3.12 chooses the interpreter that makes .venv; VENV=DIR puts it elsewhere.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet
PYTEST_ARGS ?=

# The newest of these that starts, is 3.11 or newer and can make environments.
# (A name on the PATH may be a shim that does not start.)
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'if True: \
	import ensurepip, sys, venv; \
	v = sys.version_info[:2]; \
	v >= (3, 11) and print("%d%03d" % v, sys.executable)' \
	2>/dev/null; done | sort -rn | head -n 1 | cut -d " " -f 2-)

.PHONY: help demo test slow check format-check lint types layers format bench wheel-check constraints clean

help:
	@sed -n 's/^#   //p' Makefile

# ---------------------------------------------------------------- environment

define NEED_PYTHON
	@if [ -z "$(PYTHON)" ]; then \
		echo "metaopt needs Python 3.11 or newer with the modules venv and ensurepip; none was found on the PATH." >&2; \
		echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "PYTHON=$(PYTHON) does not start or is older than 3.11: name another, make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "PYTHON=$(PYTHON) cannot make environments: its module venv or ensurepip is missing." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv (or python3.N-venv, for that N)." >&2; \
		exit 1; }
endef

# Made once, and again when the requirements change. The stamp is written last, so that an install
# that was cut short is begun anew.
$(STAMP): pyproject.toml constraints.txt
	$(NEED_PYTHON)
	@echo "creating $(VENV) (a few minutes, once)"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt hatchling
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

# ---------------------------------------------------------------- the main job

demo: $(STAMP)
	@if [ -e runs/demo ]; then \
		$(BIN)/metaopt search resume runs/demo; \
	else \
		$(BIN)/metaopt search run experiments/demo.py --out runs/demo; \
	fi
	$(BIN)/metaopt search report runs/demo
	$(BIN)/metaopt export runs/demo -o my_rule.py

bench: $(STAMP)
	$(BIN)/python -m experiments.bench
	$(BIN)/python -m experiments.bench_trials
	$(BIN)/python -m experiments.bench_baselines
	$(BIN)/python -m experiments.bench_meta

# ---------------------------------------------------------------- tests and checks

test: $(STAMP)
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

slow: $(STAMP)
	$(BIN)/pytest -m slow $(PYTEST_ARGS)

check: format-check lint types layers

format-check: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

layers: $(STAMP)
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

# The wheel as a stranger gets it: built, installed with its dependencies into a new environment, and
# examined there by a script that runs far from the checkout.
wheel-check: $(STAMP)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(BIN)/python -m build --wheel --no-isolation --outdir "$$dir/dist" . > "$$dir/build.log" || { cat "$$dir/build.log" >&2; exit 1; }; \
	$(BIN)/python -m venv "$$dir/venv"; \
	"$$dir/venv/bin/python" $(PIP_INSTALL) --no-compile --constraint constraints.txt "$$dir"/dist/*.whl; \
	cp tests/house/check_wheel.py "$$dir/"; \
	cd "$$dir"; "$$dir/venv/bin/python" check_wheel.py "$$dir"/dist/*.whl

# ---------------------------------------------------------------- upkeep

# constraints.txt holds the exact version of everything, direct or not, that .venv and the wheel's
# environment hold. It is resolved on the oldest Python we support, so that newer ones can use it too.
constraints:
	$(NEED_PYTHON)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	"$(PYTHON)" -m venv "$$dir/venv"; \
	"$$dir/venv/bin/python" $(PIP_INSTALL) --upgrade --editable '.[dev]'; \
	{ echo "# Exact versions of every dependency, direct or not. Written by: make constraints PYTHON=python3.11"; \
	  "$$dir/venv/bin/python" -m pip --disable-pip-version-check freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' | LC_ALL=C sort -f; \
	} > "$$dir/constraints.txt"; \
	cp "$$dir/constraints.txt" constraints.txt; \
	echo "constraints.txt: $$(grep -c == constraints.txt) packages"

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
