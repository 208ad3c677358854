from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from campaigns import tiny

from metaopt import rules
from metaopt.loading import find
from search import baselines, finish
from search.campaign import advance
from search.cluster import executor
from search.config import FunnelStage, VerdictConfig
from search.distill import distill
from search.evaluate import TrainingConfig, evaluate_programs, fitness_by_seed
from search.export import Winner
from search.store import Store

QUADRATIC = "quadratic_12x8_4_cond10_noise0_seed0"
TRAINING = TrainingConfig(tasks=(QUADRATIC,), steps=40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = replace(
        tiny(),
        funnel=(FunnelStage(replace(TRAINING, num_seeds=2, first_seed=50), 5),),
        verdict=VerdictConfig(tasks=(QUADRATIC,), rates=(0.5, 1.0, 2.0), seeds=3),
    )
    store = Store.create(tmp_path_factory.mktemp("finish") / "campaign", config)
    said: list[str] = []
    with store.locked(), executor() as where:
        finish.begin(store, said.append)
        assert advance(store, where)
        finish.finish(store, said.append)
    return store, said


def test_the_funnel_sorts_and_names_the_winner(finished):
    store, _ = finished
    (stage,) = store.note("funnel")
    fitness = [row["fitness"] for row in stage["rows"]]
    assert fitness == sorted(fitness, reverse=True)
    assert store.note("winner")["rule"] == stage["rows"][0]["rule"]
    assert str(find(store.folder)[0]) == store.note("winner")["rule"]


def test_the_verdict_is_on_fresh_seeds_with_one_budget(finished):
    store, _ = finished
    verdict = store.note("verdict")
    assert {row["name"] for row in verdict["rows"]} == {"winner", "start", "AdamW", "Lion"}
    for row in verdict["rows"]:
        assert len(row["losses"]) == 3
        np.testing.assert_allclose(np.mean(row["losses"]), row["loss"])
    winner = rules.parse(store.note("winner")["rule"])
    row = next(r for r in verdict["rows"] if r["name"] == "winner")
    training = replace(
        store.config().training, tasks=(QUADRATIC,), rates=(row["rate"],), num_seeds=3,
        first_seed=finish.FRESH_SEEDS, patience=1.0,
    )  # fmt: skip
    again = evaluate_programs([winner], training, split="test").losses[0, 0]
    np.testing.assert_array_equal(again, row["losses"])


def test_the_rate_that_a_rule_was_found_with_goes_with_it(tmp_path):
    rates = (4.0, 16.0)  # 1 is none of them
    training = replace(tiny().training, rates=rates)
    config = replace(
        tiny(),
        rounds=1,
        training=training,
        funnel=(FunnelStage(replace(training, num_seeds=2), 3),),
        verdict=VerdictConfig(rates=(1.0,), tuning_seeds=1, seeds=1),
    )
    with closing(Store.create(tmp_path / "campaign", config)) as store:
        with store.locked(), executor() as where:
            assert advance(store, where)
            finish.write_best(store)
            assert find(store.folder)[1] == Winner.of(store).rate == store.best(1)[0].rate
            finish.finish(store, lambda _: None)
        rate = store.note("winner")["rate"]
        assert rate in rates
        assert rate == find(store.folder)[1] == Winner.of(store).rate
        used = {row["name"]: row["rate"] for row in store.note("verdict")["rows"]}
        assert used["winner"] == rate
        assert used["start"] == store.improvements()[0].rate in rates
        # An older campaign noted none.
        store.set_note("winner", {k: v for k, v in store.note("winner").items() if k != "rate"})
        finish.finish(store, lambda _: None)
        assert find(store.folder)[1] == Winner.of(store).rate == 1.0


def test_what_is_noted_is_not_done_again(finished):
    store, _ = finished
    said: list[str] = []
    finish.begin(store, said.append)
    finish.finish(store, said.append)
    assert said == []


def test_baselines_are_the_best_of_their_grid():
    config = replace(tiny(), training=TRAINING)
    for line in baselines.measure(config):
        rates = (line.rate, line.rate * 0.3)
        training = replace(TRAINING, rates=rates)
        found = evaluate_programs([line.program], training)
        assert found.fitness[0] == line.fitness
        assert found.rate[0] == line.rate


def test_programs_with_different_states_are_evaluated_together():
    names = ("lion", "momentum", "sgd", "adam")
    programs = [rules.library.get(name).inlined() for name in names]
    training = replace(TRAINING, rates=(0.05,), num_seeds=2)
    together = fitness_by_seed(programs, training)
    for program, row in zip(programs, together, strict=True):
        np.testing.assert_array_equal(fitness_by_seed([program], training)[0], row)
    assert len({row[0] for row in together}) == len(names)


def test_distillation_drops_and_rounds_what_costs_nothing():
    text = """
def padded(w, g, m, lr):
    m = interp(g, m, 0.9003)
    noise = w * 1e-7
    u = m + noise
    scale = lr * 0.101
    u = u * scale
    return u, m
"""
    found = distill(rules.parse(text), TRAINING, seeds=4, tolerance=1e-3)
    assert len(found.program.body) <= 3
    assert "noise" not in str(found.program)
    assert all(len(str(c)) <= 4 for _, _, c in found.program.constants())
    assert found.changes
    before = fitness_by_seed([rules.parse(text)], TRAINING)
    after = fitness_by_seed([found.program], TRAINING)
    assert after.mean() >= before.mean() - 2e-3  # one other seed
    last = found.changes[-1].fitness_after
    assert last >= found.changes[0].fitness_before - 1e-3
    assert all(np.isclose(c.cost, c.fitness_before - c.fitness_after) for c in found.changes)


def test_a_distilled_rule_keeps_what_matters():
    momentum = rules.library.get("momentum").inlined()
    rule = replace(momentum, name="rule")
    training = replace(TRAINING, rates=(0.02,))
    found = distill(rule, training, seeds=4, tolerance=0.0)
    exact, kept = (fitness_by_seed([p], training).mean() for p in (rule, found.program))
    assert kept >= exact - 1e-3
