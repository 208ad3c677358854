"""`metaopt baselines`, `metaopt.load` and the page of all baselines."""

import importlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import metaopt
from metaopt.baselines import BASELINES
from metaopt.baselines.table import GROUPS
from search.cli import FAILED, main

ROOT = Path(__file__).parents[2]


def test_every_baseline_is_listed(capsys):
    assert main(["baselines", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines[1 : len(BASELINES) + 1]]
    assert listed == list(BASELINES)


@pytest.mark.parametrize("choice", ["--group sign", "--need value", "--kind schedule"])
def test_a_list_can_be_narrowed(capsys, choice):
    assert main(["baselines", "list", *choice.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    field, value = choice.removeprefix("--").split()
    of = {"group": lambda row: [row.group], "need": lambda row: row.needs}
    expected = [
        name
        for name, row in BASELINES.items()
        if value in of.get(field, lambda row: [row.kind])(row)
    ]
    assert expected
    assert [line.split()[0] for line in lines[1 : len(expected) + 1]] == expected


def test_one_is_shown(capsys):
    assert main(["baselines", "show", "adan"]) == 0
    out = capsys.readouterr().out
    for text in ("n <- b2 n + (1 - b2) d", "arXiv:2208.06677", "4.00 times", "optimi"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("show adann", "did you mean adan"),
        ("list --group adaptative", "there are adaptive"),
        ("list --need closure", "there are"),
    ],
)
def test_mistakes_are_explained(capsys, arguments, message):
    assert main(["baselines", *arguments.split()]) == FAILED
    assert message in capsys.readouterr().err


def test_rows_are_in_their_groups_once():
    rows = [(group.__name__.rpartition(".")[2], row) for group in GROUPS for row in group.ROWS]
    assert [(row.id, row.group) for _, row in rows] == [(row.id, name) for name, row in rows]
    assert len(rows) == len(BASELINES)


def test_a_baseline_loads_by_name():
    params = {"w": jnp.ones((2, 3))}
    loaded = metaopt.load("adan", learning_rate=0.1, b1=0.9)
    made = metaopt.baselines.adan(0.1, b1=0.9)
    found, _ = loaded.update(params, loaded.init(params), params)
    expected, _ = made.update(params, made.init(params), params)
    np.testing.assert_array_equal(found["w"], expected["w"])
    assert "adan" in metaopt.names()
    with pytest.raises(TypeError, match="no default learning rate"):
        metaopt.load("adan")
    with pytest.raises(TypeError, match="wrapper, not an optimizer by itself"):
        metaopt.load("lookahead", 0.1)


def test_the_page_is_what_the_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    zoo = importlib.import_module("experiments.zoo")
    assert zoo.PAGE.read_text() == zoo.page()
