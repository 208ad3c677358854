"""A benchmark's folder holds what was measured by its plan, and nothing else."""

import contextlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from search.bench import drive, report, store
from search.bench.config import BenchConfig
from search.bench.results import Cost, Facts
from search.drive import Where
from search.errors import UserError

TASKS = ("quadratic_12x8_4_cond10_noise0_seed0", "quadratic_12x8_4_cond1000_noise0.1_seed1")
PLAN = BenchConfig("proxy", ("adam", "lion"), trials=2, seeds=2, tasks=TASKS)
FACTS = Facts("quadratic", 200, 12, 100, 1.0, 1.0)


@pytest.fixture
def fill(measured):
    """Makes a benchmark with measurements of some tasks."""

    def make(folder, plan=PLAN, tasks=TASKS):
        plan, rng = store.create(folder, plan), np.random.default_rng(0)
        for task in tasks:
            store.write(folder, task, FACTS, measured(plan, task, rng), config=plan)
        store.write_costs(folder, {"adam": Cost(1.0, 2.0)}, {"device": "none"})
        return folder

    return make


def without_plan(path):
    """Make of a measurement what it was before it kept its plan."""
    with np.load(path) as arrays:
        old = {key: arrays[key] for key in arrays.files if key != "plan"}
    np.savez_compressed(path, **old)


@pytest.mark.parametrize("left", ["tasks/*.npz", "costs.json", "unfinished/*/*/*.npz"])
def test_what_is_left_of_another_benchmark_is_in_the_way(fill, tmp_path, left):
    folder = fill(tmp_path / "a")
    part = store.unfinished(folder, TASKS[0]) / "part_0" / "length_20.npz"
    part.parent.mkdir(parents=True)
    part.touch()
    (kept,) = list(folder.glob(left))[:1]
    for path in folder.rglob("*"):
        if path.is_file() and path != kept:
            path.unlink()
    with pytest.raises(UserError, match=r"is of a benchmark whose plan, .*bench\.json, is gone"):
        store.create(folder, PLAN)
    kept.unlink()
    store.create(folder, PLAN)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="a is a file; choose a folder"):
        store.create(tmp_path / "a", PLAN)


OTHERS = [
    (replace(PLAN, seeds=3), "its seeds is 3, and not 2", "other numbers of trials, seeds"),
    (replace(PLAN, trials=3), "its trials is 3, and not 2", "other numbers of trials, seeds"),
    (replace(PLAN, points=10), "its points is 10, and not 20", "other numbers of trials, seeds"),
    (replace(PLAN, first_seed=1), "its first_seed is 1, and not 0", None),
    (replace(PLAN, tuning="random"), "its tuning is random, and not grid", None),
    (replace(PLAN, optimizers=("adam",)), "it lacks lion with length 1", "it lacks lion"),
    (replace(PLAN, optimizers=("adam", "lion", "sgd")), "it has sgd .* not in the plan", "it has"),
    (replace(PLAN, schedules=("wsd",)), "it lacks adam .* schedule cosine", "it lacks"),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "message", "old_message"), OTHERS)
def test_a_measurement_of_another_plan_is_refused(fill, tmp_path, plan, message, old_message):
    other, own = fill(tmp_path / "other", plan), fill(tmp_path / "own", tasks=TASKS[1:])
    path = own / "tasks" / f"{TASKS[0]}.npz"
    shutil.copyfile(other / "tasks" / path.name, path)
    for use in (report.conclude, lambda folder: drive.resume(folder, Where(0, "", False, 1.0))):
        with pytest.raises(UserError, match=f"{path.name} is not of the plan in .*: {message}"):
            use(own)
    without_plan(path)
    if old_message is None:  # nothing tells it apart
        assert len(store.results(own).tasks) == 2
    else:
        with pytest.raises(UserError, match=old_message):
            store.results(own)


def test_a_measurement_of_another_task_is_refused(fill, tmp_path):
    folder = fill(tmp_path / "a")
    first, second = (folder / "tasks" / f"{task}.npz" for task in TASKS)
    shutil.copyfile(first, second)
    with pytest.raises(UserError, match=f"its task is {TASKS[0]}, and not {TASKS[1]}"):
        store.results(folder)


def test_folders_of_before_are_read(fill, tmp_path):
    folder = fill(tmp_path / "a")
    before = store.results(folder)
    for task in TASKS:
        without_plan(folder / "tasks" / f"{task}.npz")
    # A length that would be refused today was rounded.
    plan = folder / "bench.json"
    plan.write_text(plan.read_text().replace("1.0", "1.01"))
    for task in TASKS:
        path = folder / "tasks" / f"{task}.npz"
        with np.load(path) as arrays:
            renamed = {k.replace("/1.0/", "/1.01/"): arrays[k] for k in arrays.files}
        np.savez_compressed(path, **renamed)
    found = store.results(folder)
    assert found.settings[0].length == 1.01
    for (task, _, name), trials in found.trials.items():
        same = before.trials[task, before.settings[0], name]
        np.testing.assert_array_equal(trials.test, same.test)


def test_damage_is_named(fill, tmp_path):
    folder = fill(tmp_path / "a")
    costs, path = folder / "costs.json", folder / "tasks" / f"{TASKS[0]}.npz"
    for text in (costs.read_text()[:-9], "[]", '{"costs": {"adam": {}}, "provenance": {}}'):
        costs.write_text(text)
        with pytest.raises(UserError, match=r"costs\.json is damaged"):
            store.results(folder)
    costs.unlink()
    store.results(folder)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(50):
        place = int(rng.integers(30, len(content) - 10))
        path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
        with contextlib.suppress(UserError):  # nothing else, such as errors of zlib
            store.results(folder)


def test_a_reference_must_be_among_the_optimizers(fill, tmp_path):
    folder = fill(tmp_path / "a")
    assert report.conclude(folder).reference == "adam"  # there is no adamw
    assert report.conclude(folder, "lion").reference == "lion"
    for name in ("nosuch", "adamw"):
        with pytest.raises(UserError, match=rf"{name} is not among .*: choose .* adam, lion"):
            report.conclude(folder, name)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ((1.0, 0.33), r"length 0.33 is no whole multiple of 1 / 20.*nearest is 0\.35"),
        ((1.01,), "nearest is 1$"),
        ((0.3, 0.1 + 0.2), "are the same training"),
    ],
)
def test_lengths_are_whole_numbers_of_intervals(tmp_path, lengths, message):
    with pytest.raises(UserError, match=message):
        store.create(tmp_path / "a", replace(PLAN, lengths=lengths))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("length", [np.inf, np.nan, 0.0, -1.0, 0.01])
def test_lengths_are_numbers_of_steps(length):
    with pytest.raises(ValueError, match=r"finite and at least 0\.05, got"):
        replace(PLAN, lengths=(length,))


def test_lengths_that_floats_do_not_hold_exactly(tmp_path):
    lengths = (0.05, 0.1, 0.15, 0.3, 0.35, 1.1, 16.0)
    assert store.create(tmp_path / "a", replace(PLAN, lengths=lengths)).lengths == lengths


def test_nothing_runs_to_read_a_benchmark(fill, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import optax\n\ndef mine(learning_rate):\n    return optax.sgd(learning_rate)\n"
    )
    folder = fill(tmp_path / "a", replace(PLAN, optimizers=(str(tmp_path / "mine.py"),)))
    (folder / "optimizers" / "mine.py").write_text("1 / 0")
    assert store.results(folder).optimizers == ("mine",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import optax\n\ndef mine(learning_rate):\n    return optax.scale(-learning_rate)\n",
         "mine.py cannot be trained with"),
        ("import beside\n\ndef mine(learning_rate): ...\n", "mine.py imports beside"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_no_folder(tmp_path, content, message):
    (tmp_path / "beside.py").touch()
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=message):
        store.create(tmp_path / "a", replace(PLAN, optimizers=(str(tmp_path / "mine.py"),)))
    assert not (tmp_path / "a").exists()


def test_the_plan_is_kept_as_json(fill, tmp_path):
    folder = fill(tmp_path / "a")
    with np.load(folder / "tasks" / f"{TASKS[0]}.npz") as arrays:
        kept = json.loads(str(arrays["plan"]))
    assert kept == {
        "task": TASKS[0], "suite": "proxy_v1", "trials": 2, "seeds": 2, "first_seed": 0,
        "tuning": "grid", "points": 20,
    }  # fmt: skip
