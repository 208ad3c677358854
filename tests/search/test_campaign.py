"""Campaigns: rounds with migration, the same however they are cut, and nothing recompiles."""

from contextlib import closing

import jax
import pytest
from campaigns import outcome, same, tiny

from metaopt.rules import parse
from search.campaign import Progress, advance
from search.cluster import InProcess, executor
from search.population import emigrants
from search.store import Store

COMPILATIONS = []


@pytest.fixture(scope="module", autouse=True)
def _count_compilations():
    def note(event, _, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            COMPILATIONS.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield
    jax.monitoring.unregister_event_duration_listener(note)


def run(folder, config, **options):
    store = Store.create(folder, config)
    assert advance(store, InProcess(), **options)
    return store


@pytest.mark.parametrize("method", ["evolution", pytest.param("random", marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", ["host", "device"])
def test_nothing_compiles_after_the_first_round(tmp_path, engine, method):
    # Restarts of both kinds, and migration, come after the first round. The capacity is one that
    # no other campaign has, so that this one has to compile its own.
    capacity = 13 + 2 * (engine == "host") + (method == "random")
    config = tiny(
        engine=engine, method=method, rounds=8, patience=1, seed=5, steps=7, capacity=capacity
    )
    counts = []
    with closing(
        run(tmp_path, config, observe=lambda _: counts.append(len(COMPILATIONS)))
    ) as store:
        assert len(counts) == 9
        assert counts[1] > counts[0]  # compilations are seen
        assert counts[1:] == [counts[1]] * 8
        assert sum(r.counts.evaluated for r in store.rounds()[2:]) > 5
        assert sum(r.counts.restarts for r in store.rounds()) > 2


@pytest.mark.parametrize("islands", [1, 3])
def test_the_same_seed_gives_the_same_campaign(tmp_path, islands):
    with (
        closing(run(tmp_path / "a", tiny(islands=islands))) as a,
        closing(run(tmp_path / "b", tiny(islands=islands))) as b,
        closing(run(tmp_path / "c", tiny(islands=islands, seed=1))) as c,
    ):
        same(outcome(a), outcome(b))
        assert {x.print for x in a.best(50)} != {x.print for x in c.best(50)}


def test_observers_are_told_of_each_committed_round(tmp_path):
    seen: list[Progress] = []
    with closing(run(tmp_path, tiny(), observe=seen.append)) as store:
        assert [p.record.number for p in seen] == [0, 1, 2, 3, 4]
        assert [p.record for p in seen] == store.rounds()
        assert seen[-1].total.evaluated == sum(p.record.counts.evaluated for p in seen)
        assert seen[-1].config == tiny()


class Recording(InProcess):
    """Runs rounds here and keeps what they were."""

    def __init__(self):
        super().__init__()
        self.rounds = []

    def run(self, call, rounds):
        self.rounds.append(rounds)
        return super().run(call, rounds)


@pytest.mark.parametrize("migrants", [0, 5])
def test_migrants_come_from_the_island_before(tmp_path, migrants):
    config = tiny(migrants=migrants, islands=3)
    recording = Recording()
    with closing(Store.create(tmp_path, config)) as store:
        assert advance(store, recording)
    assert [len(r) for r in recording.rounds] == [3] * 4
    arrived = 0
    for number, tasks in enumerate(recording.rounds, 1):
        for i, task in enumerate(tasks):
            assert (task.island, task.number) == (i, number)
            expected = emigrants(tasks[i - 1].state, migrants if number > 1 else 0)
            same(task.arrivals, expected)
            arrived += len(task.arrivals.prints)
    assert (arrived > 20) == bool(migrants)


def test_every_recorded_rule_is_text_that_can_be_read(tmp_path):
    with closing(run(tmp_path, tiny(rounds=6))) as store:
        found = store.best(1000)
        assert len(found) > 30
        for candidate in found:
            assert str(parse(candidate.rule)) == candidate.rule


def test_in_process_is_the_default():
    with executor() as here:
        assert isinstance(here, InProcess)
