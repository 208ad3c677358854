"""Benchmarks side by side."""

import dataclasses

import numpy as np
import pytest

from search.bench import store
from search.bench.config import BenchConfig
from search.bench.contenders import name_of
from search.bench.merge import merge
from search.bench.results import Cost, Facts, Setting
from search.errors import UserError

TASKS = ("quadratic_12x8_4_cond10_noise0_seed0", "quadratic_12x8_4_cond1000_noise0.1_seed1")
PLAN = BenchConfig("proxy", ("adam", "lion"), trials=2, seeds=2, lengths=(0.5, 1.0), tasks=TASKS)
FACTS = Facts("quadratic", 200, 12, 100, 1.0, 1.0)


@pytest.fixture
def made(tmp_path, measured):
    """Makes the folder of a benchmark, each of whose trials has its own losses."""

    def make(name, done=TASKS, **changes):
        folder = tmp_path / name
        plan = store.create(folder, dataclasses.replace(PLAN, **changes))
        rng = np.random.default_rng([ord(c) for c in name])
        for task in done:
            store.write(folder, task, FACTS, measured(plan, task, rng), config=plan)
        costs = {name_of(optimizer): Cost(1.0, 2.0) for optimizer in plan.optimizers}
        store.write_costs(folder, costs, {"device": name})
        return folder

    return make


def _losses(folder, task, setting, optimizer):
    return store.read(folder, task, store.plan(folder))[1][setting, optimizer].test


def test_everything_is_where_it_was(made, tmp_path):
    first, second = made("first"), made("second", optimizers=("sgd", "lion"))
    merge([first, second], tmp_path / "both")
    found = store.results(tmp_path / "both")
    assert found.optimizers == ("adam", "lion", "sgd")
    assert tuple(found.tasks) == TASKS
    assert found.provenance["device"] == "first; second"
    for task in TASKS:
        for setting in PLAN.settings:
            # Of what is in both, the first's.
            for source, name in ((first, "adam"), (first, "lion"), (second, "sgd")):
                expected = _losses(source, task, setting, name)
                np.testing.assert_array_equal(found.trials[task, setting, name].test, expected)


def test_an_optimizer_that_is_gone_is_in_nobodys_way(made, tmp_path):
    first = made("first")
    plan = (first / "bench.json").read_text()
    assert '"lion"' in plan
    (first / "bench.json").write_text(plan.replace('"lion"', '"optimizers/lion.safetensors"'))
    merge([first], tmp_path / "both", ["adam"])
    assert store.results(tmp_path / "both").optimizers == ("adam",)
    with pytest.raises(UserError, match=r"there is no file optimizers/lion\.safetensors"):
        merge([first], tmp_path / "all")


def test_what_all_have_in_common_remains(made, tmp_path):
    first = made("first", schedules=("cosine", "constant"))
    second = made("second", done=TASKS[1:], optimizers=("sgd",), lengths=(1.0,))
    merge([first, second], tmp_path / "both", ["sgd", "adam"])
    plan = store.plan(tmp_path / "both")
    assert plan.optimizers == ("sgd", "adam")
    assert plan.settings == (Setting(1.0, "cosine"),)
    assert store.done(tmp_path / "both", plan) == [TASKS[1]]
    # Both folders are needed for an optimizer whose settings they share.
    third = made("third", optimizers=("sgd",), lengths=(1.0,), schedules=("constant",))
    merge([second, third, first], tmp_path / "three", ["sgd", "adam"])
    assert store.plan(tmp_path / "three").settings == (
        Setting(1.0, "cosine"),
        Setting(1.0, "constant"),
    )
    setting = Setting(1.0, "constant")
    np.testing.assert_array_equal(
        _losses(tmp_path / "three", TASKS[1], setting, "sgd"),
        _losses(third, TASKS[1], setting, "sgd"),
    )
    fourth = made("fourth", optimizers=("sgd",), schedules=("constant",))
    with pytest.raises(UserError, match=r"sgd .* not with length 0.5 and schedule cosine together"):
        merge([second, fourth, first], tmp_path / "four", ["sgd", "adam"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 3}, "their seeds differ: 2 and 3"),
        ({"tasks": TASKS[:1]}, "their task_names differ: 2 tasks and 1 tasks"),
        ({"schedules": ("wsd",), "optimizers": ("sgd",)}, "no schedule, in common"),
    ],
)
def test_what_cannot_be_compared(made, tmp_path, changes, message):
    first, second = made("first"), made("second", **({"done": TASKS[:1]} | changes))
    with pytest.raises(UserError, match=message):
        merge([first, second], tmp_path / "both")
    with pytest.raises(UserError, match=r"adan is in none .*\['adam', 'lion'\]"):
        merge([first], tmp_path / "both", ["adan"])
    assert not (tmp_path / "both").exists()


def test_what_is_asked_for_wrongly(made, tmp_path):
    first = made("first")
    with pytest.raises(UserError, match="nothing to merge"):
        merge([], tmp_path / "both")
    with pytest.raises(UserError, match="some are given twice: adam, adam"):
        merge([first], tmp_path / "both", ["adam", "adam"])
    assert not (tmp_path / "both").exists()


def test_nothing_is_merged_with_damaged_costs(made, tmp_path):
    first = made("first")
    path = first / "costs.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(UserError, match=r"first/costs\.json is damaged .* delete it"):
        merge([first], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_different_optimizers_of_one_name_stay_apart(made, tmp_path):
    folders = []
    for number, rate in enumerate((1.0, 1.0, 2.0)):
        path = tmp_path / str(number) / "mine.py"
        path.parent.mkdir()
        path.write_text(
            "import optax\n\n"
            f"def mine(learning_rate):\n    return optax.sgd(learning_rate, {rate / 4})\n"
        )
        folders.append(made(f"folder_{number}", optimizers=("adam", str(path))))
        path.write_text("raise ValueError('only the copy counts')")
    for folder in folders:  # nothing runs, neither here nor there
        for copy in (folder / "optimizers").iterdir():
            copy.write_text(copy.read_text() + "\n1 / 0\n")
    merge(folders[:2], tmp_path / "both")
    assert store.results(tmp_path / "both").optimizers == ("adam", "mine")
    with pytest.raises(UserError, match=r"optimizers mine of .*0 and .*2 are different: rename"):
        merge([folders[0], folders[2]], tmp_path / "all")
    merge([folders[0], folders[2]], tmp_path / "adam", ["adam"])
