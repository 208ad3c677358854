"""The held-out suite: whole, apart from all others, and out of reach of whatever selects."""

import ast
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tasks
from search.config import FunnelStage, SearchConfig, VerdictConfig
from search.evaluate import TrainingConfig
from tasks import held_out, sampled

ROOT = Path(__file__).parents[2]
SUITE = tasks.SUITES["held_out_v1"]
OTHERS = {
    name: entry.config
    for suite, members in tasks.SUITES.items()
    if not suite.startswith("held_out_v")
    for name, entry in members.items()
}
NAMED = re.compile(r"(?<!is_)held_out(?!_demo)")
DATA_FIELDS = ("dataset", "corpus")


def data_of(config):
    """Names of the data that a configuration reads."""
    if hasattr(config, "base"):
        return data_of(config.base)
    return {getattr(config, f.name) for f in dataclasses.fields(config) if f.name in DATA_FIELDS}


def test_it_is_large_and_holds_every_family():
    assert len(SUITE) == len(held_out.V1) >= 40
    assert {tasks.family(entry.config) for entry in SUITE.values()} == set(tasks.families())
    assert all(entry.steps % 20 == 0 for entry in SUITE.values())


def test_its_data_is_in_no_other_suite():
    assert set().union(*(data_of(e.config) for e in SUITE.values())) == set(held_out.DATA)
    for name, config in OTHERS.items():
        assert data_of(config).isdisjoint(held_out.DATA), name


def test_some_families_are_in_no_other_suite():
    assert {tasks.family(config) for config in OTHERS.values()}.isdisjoint(held_out.FAMILIES)


def test_no_task_is_in_another_suite():
    assert set(SUITE).isdisjoint(OTHERS)
    assert all(map(tasks.is_held_out, SUITE))
    assert not any(map(tasks.is_held_out, OTHERS))


def mentions(path):
    """Whether code of a file (not its comments and docstrings) names the suite or its module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if NAMED.search(node.value) and id(node) not in docstrings:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            if any(name.split(".")[-1] == "held_out" for name in names):
                yield node.lineno


def test_only_those_who_judge_name_it():
    sources = [
        p for folder in ("metaopt", "search", "tasks") for p in (ROOT / folder).rglob("*.py")
    ]
    sources += (ROOT / "experiments").glob("*.py")
    named = {str(path.relative_to(ROOT)) for path in sources if list(mentions(path))}
    assert named == {
        "tasks/suites.py",  # the table
        "search/bench/cli.py",  # the default of `metaopt bench run`
        "search/catalogue.py",  # `metaopt tasks plot`
        "search/catalogue_cli.py",  # its default
        "experiments/held_out.py",  # the comparison itself
        "experiments/readme.py",  # its table
        "experiments/bench_trials.py",  # times trials, selects nothing
        "experiments/sample_suites.py",  # keeps the drawn suites apart from it
    }


@pytest.mark.parametrize("place", ["training", "funnel"])
def test_a_search_cannot_select_by_it(place):
    training = TrainingConfig(tasks=(next(iter(SUITE)),))
    parts = {"training": training, "funnel": (FunnelStage(candidates=1, training=training),)}
    with pytest.raises(ValueError, match="is held out: nothing may be selected by it"):
        SearchConfig(**{place: parts[place]})
    SearchConfig(verdict=VerdictConfig(tasks=training.tasks))


# ---------------------------------------------------------------- published curves


def test_published_curves_are_of_all_tasks():
    published = tasks.curves("held_out")
    assert set(published) == set(SUITE)
    for name, curves in published.items():
        assert set(curves) == {"adamw", "lion", "momentum_sgd"}
        trivial = tasks.get(name).trivial_loss
        for curve in curves.values():
            assert curve.steps[-1] == SUITE[name].steps
            assert len(curve.steps) == len(curve.validation) == len(curve.spread) == 20
            assert np.isfinite(curve.validation[-1])
        best = min(curve.validation[-1] for curve in curves.values())
        assert best < 0.995 * trivial, name


def test_a_suite_without_published_curves_has_none():
    assert tasks.curves("proxy") == {}


# ---------------------------------------------------------------- drawn suites


@pytest.mark.parametrize(("suite", "count"), [("meta_train_v1", 384), ("validation_v1", 32)])
def test_drawn_suites_are_what_their_files_say(suite, count):
    members = tasks.SUITES[suite]
    assert len(members) == count
    expected = set(tasks.families()) - set(held_out.FAMILIES)
    assert {tasks.family(entry.config) for entry in members.values()} == expected
    text = (Path(sampled.__file__).parent / sampled.FOLDER / f"{suite}.json").read_text()
    for row, (name, entry) in zip(json.loads(text), members.items(), strict=True):
        assert json.loads(json.dumps(sampled.row(*entry))) == row
        assert sampled.config(row).name == name


def test_drawn_suites_share_no_task():
    assert set(tasks.SUITES["meta_train_v1"]).isdisjoint(tasks.SUITES["validation_v1"])


def test_the_first_draws_are_the_same_today():
    families = [name for name in tasks.families() if name not in held_out.FAMILIES]
    expected = list(tasks.SUITES["meta_train_v1"].values())[:3]
    assert list(sampled.draw(families, 3, seed=1)) == [tuple(entry) for entry in expected]


@pytest.mark.slow
def test_all_draws_are_the_same_today():
    command = [sys.executable, "-m", "experiments.sample_suites", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("name", list(tasks.families()))
def test_every_family_samples_what_can_be_built(name):
    generator = np.random.Generator(np.random.PCG64(7))
    kind = tasks.families()[name]
    drawn = [kind.sample(generator) for _ in range(20)]
    assert len({config.name for config in drawn}) > 10
    again = np.random.Generator(np.random.PCG64(7))
    assert drawn == [kind.sample(again) for _ in range(20)]
    task = drawn[0].build()
    assert task.name == drawn[0].name
    assert tasks.parameter_count(task) > 0
