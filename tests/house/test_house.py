"""What DESIGN asks of the folders and no linter looks at."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["metaopt", "search", "tasks"]
SOURCES = [
    path
    for folder in [*PACKAGES, "experiments", "tests"]
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def imported_names(path):
    """Top-level names of the absolute imports of a file, wherever in the file they stand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def files_that_import(name, folders):
    return {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in folders and name in imported_names(path)
    }


def test_one_file_imports_ray():
    assert files_that_import("ray", [*PACKAGES, "experiments"]) == {"search/cluster.py"}


@pytest.mark.parametrize("name", ["pickle", "cloudpickle", "dill", "yaml", "gin", "absl", "hydra"])
def test_not_in_this_house(name):
    assert files_that_import(name, [*PACKAGES, "experiments"]) == set()


@pytest.mark.parametrize(
    ("folder", "others"), [("metaopt", ["search", "tasks"]), ("tasks", ["search", "metaopt"])]
)
def test_layers(folder, others):
    assert {other: files_that_import(other, [folder]) for other in others} == {
        other: set() for other in others
    }


def test_import_metaopt_is_light():
    heavy = ["ray", "search", "tasks", "tyro", "sklearn", "matplotlib"]
    code = f"import sys, metaopt; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_no_file_over_400_lines():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCES
    }
    assert {name: n for name, n in lines.items() if n > 400} == {}


def test_tests_are_no_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_constraints_are_exact_and_name_no_host():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)]
    assert odd == []
    assert not any("://" in line for line in lines)
