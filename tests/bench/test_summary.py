"""Conclusions: from measurements made up so that they are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from search.bench.results import Cost, Facts, Results, Setting, Trials
from search.bench.summary import compared_tasks, summarize, to_json

SHORT, LONG = Setting(1.0, "cosine"), Setting(2.0, "cosine")
OTHER = Setting(1.0, "constant")
OPTIMIZERS = ("sgd", "adamw", "fast")
SPEED = {"sgd": 0.5, "adamw": 1.0, "fast": 2.0}
TASKS = {name: Facts("mlp", 400, 100, 10**4, 2.0, 2.5) for name in ("a", "b", "c", "d")}
POINTS = 40


def trained(optimizer, task, setting, *, seeds=3):
    """Losses 2 / (1 + speed * t / 100) at the best of three rates, half the speed at the others."""
    steps = np.arange(1, POINTS + 1) * int(setting.length * 10)
    speeds = SPEED[optimizer] * np.array([0.5, 1.0, 0.5])[:, None, None]
    shift = 0.01 * np.arange(seeds)[:, None] + 0.1 * (ord(task[0]) - ord("a"))
    losses = (2 / (1 + speeds * steps / 100) * (1 + shift)).astype(np.float32)
    return Trials(
        {"learning_rate": np.array([1e-3, 1e-2, 1e-1]), "weight_decay": np.array([0.1, 0.2, 0.3])},
        steps.astype(np.int32),
        losses,
        losses,
        losses[..., -1] * np.float32(1.1),
    )


def benchmark(settings=(SHORT,), optimizers=OPTIMIZERS):
    return Results(
        suite="made_up_v1",
        optimizers=optimizers,
        settings=settings,
        tasks=TASKS,
        trials={
            (task, setting, optimizer): trained(optimizer, task, setting)
            for task in TASKS
            for setting in settings
            for optimizer in optimizers
        },
        costs={"adamw": Cost(1.0, 2.0)},
        provenance={"device": "none"},
    )


def without(results, *keys):
    return replace(results, trials={k: v for k, v in results.trials.items() if k not in keys})


def with_trials(results, key, **changes):
    return replace(results, trials={**results.trials, key: results.trials[key]._replace(**changes)})


def test_an_outcome_by_hand():
    found = summarize(benchmark()).outcomes["a", SHORT, "fast"]
    finals = 2 / 9 * np.array([1, 1.01, 1.02])
    assert found.trial == 1
    assert found.hyperparameters == {"learning_rate": 1e-2, "weight_decay": 0.2}
    assert not found.at_edge
    assert found.validation == pytest.approx(finals.mean())
    assert found.test == pytest.approx(1.1 * finals.mean())
    assert found.spread == pytest.approx(1.1 * finals.std(ddof=1), rel=1e-4)
    assert (found.diverged, found.diverged_all, found.trainings) == (0, 0, 9)
    assert found.scores == pytest.approx(1.1 * finals / 2)
    assert found.score == pytest.approx(np.mean(found.scores))
    assert found.target_steps == pytest.approx(200)
    assert found.speedup == pytest.approx(2)
    assert (found.velo_speedup, found.velo_at_least) == (1, True)
    # Half the speed scores 0.087 more: within 0.05 is 0.57 of the way on either side.
    assert found.tolerance == pytest.approx(2 * 0.05 / (1.1 * 1.01 * (1 / 5 - 1 / 9)), rel=1e-5)


def test_speedups_are_against_the_reference():
    summary = summarize(benchmark((SHORT, LONG)))
    for task in TASKS:
        for setting in (SHORT, LONG):
            own = summary.outcomes[task, setting, "adamw"]
            assert own.speedup == 1
            assert own.target_steps == 400 * setting.length
            assert own.velo_speedup == pytest.approx(1, rel=0.05)
            assert own.velo_speedup <= 1
            slow = summary.outcomes[task, setting, "sgd"]
            assert slow.speedup == pytest.approx(0.5, rel=1e-3)
            assert slow.target_steps == math.inf
    for standing, speed in ((summary.standings[SHORT, o], SPEED[o]) for o in OPTIMIZERS):
        assert standing.speedup.value == pytest.approx(speed, rel=1e-3)
        assert standing.speedup.low <= standing.speedup.value <= standing.speedup.high


def test_the_envelope_spans_lengths_of_one_schedule():
    reached = summarize(benchmark((SHORT, LONG))).outcomes["a", SHORT, "fast"]
    assert reached.velo_speedup == pytest.approx(2, rel=0.05)
    assert not reached.velo_at_least
    not_reached = summarize(benchmark((SHORT, OTHER))).outcomes["a", SHORT, "fast"]
    assert (not_reached.velo_speedup, not_reached.velo_at_least) == (1, True)


def test_standings_and_claims():
    summary = summarize(benchmark())
    found = [summary.standings[SHORT, optimizer] for optimizer in OPTIMIZERS]
    assert [s.rank for s in found] == [(3, 3, 3), (2, 2, 2), (1, 1, 1)]
    assert [s.wins for s in found] == [0, 0, 4]
    assert [s.at_edge for s in found] == [0, 0, 0]
    assert [(s.diverged, s.trainings) for s in found] == [(0, 36)] * 3
    claims = summary.claims[SHORT]
    assert [(c.first, c.second) for c in claims] == [
        ("sgd", "adamw"),
        ("sgd", "fast"),
        ("adamw", "fast"),
    ]
    assert {(c.better, c.worse) for c in claims} == {(0, 4)}
    assert all(c.p == 2 / 2**4 and c.p_adjusted == 6 / 2**4 for c in claims)
    scores = [s.score.value for s in found]
    assert claims[0].difference.value == pytest.approx(scores[1] - scores[0])
    assert claims[0].difference.high < 0


def test_profiles():
    results = benchmark()
    for task in TASKS:  # the fast one gets hardly lower than adamw: both solve every task
        key = (task, SHORT, "fast")
        lowest = 0.99 * results.trials[task, SHORT, "adamw"].validation[1, :, -1:]
        stuck = np.maximum(results.trials[key].validation, lowest)
        results = with_trials(results, key, validation=stuck)
    factors, fractions = summarize(results).profiles[SHORT]
    assert factors[0] == 1
    assert factors[1:] == pytest.approx(2, rel=0.02)
    assert fractions["fast"].tolist() == [1] * len(factors)
    assert fractions["adamw"][0] == 0
    assert fractions["adamw"][-1] == 1
    assert fractions["sgd"].tolist() == [0] * len(factors)  # it ends above the target


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_divergence_is_counted_and_never_dropped(bad):
    key = ("b", SHORT, "fast")
    validation = benchmark().trials[key].validation.copy()
    validation[:, 0, 20:] = bad
    summary = summarize(with_trials(benchmark(), key, validation=validation))
    found = summary.outcomes[key]
    assert (found.diverged, found.diverged_all) == (1, 3)
    assert found.scores[0] == 1
    assert found.score == pytest.approx(np.mean(found.scores))
    assert found.score > 0.33
    assert found.validation == pytest.approx(2 / 9 * 1.1 + 2 / 9 * 0.015, rel=1e-5)
    assert found.test == pytest.approx(1.1 * found.validation, rel=1e-5)
    assert found.speedup < 1
    assert found.velo_speedup < 0.5
    assert summary.standings[SHORT, "fast"].diverged == 3
    assert summary.standings[SHORT, "fast"].wins == 3


def test_all_seeds_diverged():
    results = benchmark()
    for optimizer in OPTIMIZERS:
        key = ("b", SHORT, optimizer)
        nothing = np.full_like(results.trials[key].test, np.nan)
        results = with_trials(results, key, test=nothing)
    summary = summarize(results)
    for optimizer in OPTIMIZERS:
        found = summary.outcomes["b", SHORT, optimizer]
        assert np.isnan([found.validation, found.test, found.spread]).all()
        assert (found.trial, found.diverged, found.score) == (0, 3, 1)
        assert (found.speedup, found.velo_speedup) == (1, 1 / POINTS)
    assert [summary.standings[SHORT, o].wins for o in OPTIMIZERS] == [0, 0, 3]
    assert summary.profiles[SHORT][1]["fast"][-1] == 0.75
    json.dumps(to_json(summary), allow_nan=False)


def test_what_never_works_is_neither_forgiving_nor_at_an_edge():
    results = benchmark()
    for task in ("b", "c", "d"):
        key = (task, SHORT, "fast")
        losses = np.full_like(results.trials[key].validation, 5.0)
        results = with_trials(results, key, validation=losses, test=losses[..., -1])
    summary = summarize(results)
    outcome = summary.outcomes["b", SHORT, "fast"]
    assert (outcome.trial, outcome.score, outcome.at_edge) == (0, 1, False)
    assert np.isnan(outcome.tolerance)
    standing = summary.standings[SHORT, "fast"]
    assert standing.at_edge == 0
    assert standing.tolerance == summary.outcomes["a", SHORT, "fast"].tolerance > 0


def test_of_a_single_task_no_intervals_are_given():
    results = benchmark()
    alone = replace(results, tasks={"a": TASKS["a"]})
    summary = summarize(alone)
    for standing in summary.standings.values():
        assert np.isnan([standing.rank.low, standing.score.high, standing.speedup.low]).all()
        assert np.isfinite(standing.rank.value)
    found = to_json(summary)
    (setting,) = found["settings"]
    assert setting["standings"]["fast"]["rank"] == {"value": 1.0, "low": None, "high": None}
    assert setting["claims"][0]["difference"]["low"] is None
    json.dumps(found, allow_nan=False)


def test_a_start_that_nobody_improves_on_is_solved_by_nobody():
    tasks = TASKS | {"a": TASKS["a"]._replace(initial_loss=0.1)}
    _, fractions = summarize(replace(benchmark(), tasks=tasks)).profiles[SHORT]
    assert fractions["fast"].tolist() == [0.75] * len(fractions["fast"])


def test_where_nobody_learns_nobody_is_first():
    """Though the mean of three trivial losses is not that loss, rounded as it is."""
    tasks = {name: facts._replace(trivial_loss=0.1) for name, facts in TASKS.items()}
    summary = summarize(replace(benchmark(), tasks=tasks))
    for optimizer in OPTIMIZERS:
        assert summary.standings[SHORT, optimizer].speedup == (1, 1, 1)
        assert summary.standings[SHORT, optimizer].rank == (2, 2, 2)
        assert summary.standings[SHORT, optimizer].wins == 0
        assert summary.profiles[SHORT][1][optimizer].tolist() == [0]
        assert summary.outcomes["a", SHORT, optimizer].velo_speedup == 1 / POINTS


@pytest.mark.parametrize("initial", [np.nan, np.inf, 1e30])
def test_an_initial_loss_beyond_the_trivial_one_does_not_make_tasks_easy(initial):
    tasks = {name: facts._replace(initial_loss=initial) for name, facts in TASKS.items()}
    expected = summarize(benchmark()).profiles[SHORT]
    found = summarize(replace(benchmark(), tasks=tasks)).profiles[SHORT]
    np.testing.assert_array_equal(found[0], expected[0])


def test_tasks_that_lack_an_optimizer_are_left_out():
    results = without(benchmark((SHORT, OTHER)), ("b", SHORT, "fast"), ("c", SHORT, "adamw"))
    summary = summarize(results)
    assert compared_tasks(results, SHORT) == ("a", "d")
    assert summary.standings[SHORT, "sgd"].trainings == 18
    assert summary.standings[OTHER, "sgd"].trainings == 36
    assert summary.claims[SHORT][0].worse == 2
    assert ("b", SHORT, "fast") not in summary.outcomes
    assert summary.outcomes["b", SHORT, "sgd"].speedup == pytest.approx(0.5, rel=1e-3)
    no_reference = summary.outcomes["c", SHORT, "fast"]
    measured = no_reference.target_steps, no_reference.speedup, no_reference.velo_speedup
    assert np.isnan(measured).all()
    assert no_reference.score < 1
    found = to_json(summary)["settings"][0]
    assert (found["compared"], found["left_out"]) == (["a", "d"], ["b", "c"])
    assert found["outcomes"]["c"]["fast"]["speedup"] is None


def test_nothing_to_compare():
    results = benchmark()
    results = without(results, *(key for key in results.trials if key[2] == "fast"))
    summary = summarize(results)
    assert (summary.standings, summary.claims, summary.profiles) == ({}, {}, {})
    assert len(summary.outcomes) == 8
    found = to_json(summary)["settings"][0]
    assert (found["standings"], found["claims"]) == ({}, [])
    assert found["left_out"] == list(TASKS)


def test_the_reference():
    assert summarize(benchmark()).reference == "adamw"
    assert summarize(benchmark(), "fast").reference == "fast"
    summary = summarize(benchmark(optimizers=("sgd", "fast")))
    assert summary.reference == "sgd"
    assert summary.outcomes["a", SHORT, "fast"].speedup == pytest.approx(4, rel=1e-2)


def test_one_optimizer_one_task_one_seed():
    results = benchmark(optimizers=("sgd",))
    key = ("a", SHORT, "sgd")
    results = replace(
        results, tasks={"a": TASKS["a"]}, trials={key: trained("sgd", "a", SHORT, seeds=1)}
    )
    summary = summarize(results)
    assert summary.standings[SHORT, "sgd"].rank.value == 1
    assert summary.claims == {SHORT: ()}
    assert summary.outcomes[key].spread == 0


def test_different_numbers_of_seeds_are_refused():
    results = benchmark()
    fewer = {("a", SHORT, "sgd"): trained("sgd", "a", SHORT, seeds=2)}
    with pytest.raises(ValueError, match="2 or 3 seeds"):
        summarize(replace(results, trials={**results.trials, **fewer}))


def test_an_optimizer_beside_its_double():
    results = replace(
        benchmark(),
        optimizers=("adamw", "twin"),
        trials={
            (task, SHORT, name): trained("adamw", task, SHORT)
            for task in TASKS
            for name in ("adamw", "twin")
        },
    )
    summary = summarize(results)
    assert summary.standings[SHORT, "adamw"] == summary.standings[SHORT, "twin"]
    assert summary.standings[SHORT, "twin"].rank == (1.5, 1.5, 1.5)
    assert summary.standings[SHORT, "twin"].speedup == (1, 1, 1)
    assert summary.standings[SHORT, "twin"].wins == 4
    assert summary.claims[SHORT][0][2:] == (0, 0, (0, 0, 0), 1, 1)


def test_a_summary_is_the_same_again():
    assert to_json(summarize(benchmark())) == to_json(summarize(benchmark()))


def test_json():
    key = ("a", SHORT, "sgd")
    validation = benchmark().trials[key].validation.copy()
    validation[:, 0, 2:] = np.nan
    summary = summarize(with_trials(benchmark(), key, validation=validation))
    found = to_json(summary)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["tasks"]["a"]["trivial_loss"] == 2
    assert found["costs"] == {"adamw": {"step_time": 1, "state": 2}}
    (setting,) = found["settings"]
    assert (setting["length"], setting["schedule"]) == (1, "cosine")
    assert setting["standings"]["fast"]["rank"] == {"value": 1, "low": 1, "high": 1}
    assert setting["claims"][0]["p"] == summary.claims[SHORT][0].p
    assert set(setting["profile"]["fractions"]) == set(OPTIMIZERS)
    outcome = setting["outcomes"]["b"]["fast"]
    assert outcome["steps"] == list(range(10, 410, 10))
    assert outcome["curve"][0] == 1.85  # 2 / 1.2 * 1.11
    assert outcome["scores"] == list(summary.outcomes["b", SHORT, "fast"].scores)
    assert outcome["at_edge"] is False
    broken = setting["outcomes"]["a"]["sgd"]
    assert broken["target_steps"] is None
    assert broken["trial"] == 1
    assert broken["curve"] == [1.924, 1.836] + [None] * 38  # 2.02 / 1.05 and 2.02 / 1.1
