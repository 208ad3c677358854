import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_scripts_write(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    assert importlib.import_module("experiments.readme").updated(TEXT) == TEXT


def test_the_example_runs_and_learns():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["loss"](names["params"]) < 0.1
    assert len(code.strip().splitlines()) <= 14


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT))))
def test_the_paths_that_it_names_exist(path):
    assert (ROOT / path).exists()
