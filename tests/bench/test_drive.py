"""In which order a benchmark's tasks begin, and what comes before them."""

import os

import pytest

import tasks
from search.bench import drive
from search.bench.drive import longest_first


@pytest.mark.parametrize("start", [drive.run, lambda _, *args: drive.resume(*args)])
def test_a_gpu_is_shared_from_the_first_use_of_jax(monkeypatch, tmp_path, start):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "")  # so that it is put back
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE")
    seen = []

    def note(*_):
        seen.append(os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE"))

    monkeypatch.setattr(drive.store, "create", note)
    monkeypatch.setattr(drive, "_drive", note)
    start(None, tmp_path, None)
    assert set(seen) == {"false"}


def test_tasks_that_take_long_begin_first_and_none_is_lost():
    suite = tasks.resolve_suite("held_out")
    names = list(tasks.steps(suite))
    order = longest_first(suite, names)
    assert sorted(order) == sorted(names)
    families = [tasks.family(tasks.SUITES[suite][name].config) for name in order]
    assert families[0] == "transformer"
    assert families.index("rnn") < families.index("quadratic")
    short = [name for name in names if name.startswith(("quadratic", "rosenbrock", "beale"))]
    assert [name for name in order if name in short] == short
