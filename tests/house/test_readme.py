import importlib
import re
from pathlib import Path

import jax.numpy as jnp
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_scripts_write(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    assert importlib.import_module("experiments.readme").updated(TEXT) == TEXT


OPTIMIZER, TASK, BASELINE, LEARNED = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_runs_and_learns():
    names: dict = {}
    exec(OPTIMIZER, names)
    assert names["loss"](names["params"]) < 0.1
    assert len(OPTIMIZER.strip().splitlines()) <= 14


def test_the_example_of_a_task_runs():
    names: dict = {}
    exec(TASK, names)
    assert names["score"] > 0
    assert names["gradients"].keys() == names["params"].keys()


def test_the_example_of_a_baseline_runs():
    names: dict = {}
    exec(BASELINE, names)
    assert jnp.all(names["updates"]["dense"]["kernel"] < 0)


def test_the_example_of_a_learned_optimizer_runs_and_learns():
    names: dict = {}
    exec(LEARNED, names)
    assert names["loss"](names["params"]) < 0.1


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT))))
def test_the_paths_that_it_names_exist(path):
    assert (ROOT / path).exists()
