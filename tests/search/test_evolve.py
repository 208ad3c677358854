"""One round of an island: pure, and regularized evolution as documented."""

import copy

import jax
import numpy as np
import pytest
from campaigns import same, tiny

from metaopt.rules import library, parse
from metaopt.rules.check import check
from metaopt.rules.genome import decode, take
from metaopt.rules.mutate import SCALE
from search.evolve import (
    ROOT,
    Round,
    first_candidate,
    individual,
    island_round,
    layout_of,
    start_program,
)
from search.population import Individuals, emigrants, enter, new_island, tournament


@pytest.fixture(scope="module")
def first():
    return first_candidate(tiny())


def nobody(like):
    return Individuals(*jax.tree.map(lambda leaf: np.asarray(leaf)[:0], tuple(like)))


def task(config, first, state=None, number=1, arrivals=None, known=None, island=0, champion=None):
    one, found, _ = first
    prints, fitness = known or (found.prints, found.fitness)
    state = new_island(one, config.evolution.population) if state is None else state
    arrivals = nobody(one) if arrivals is None else arrivals
    return Round(config, island, number, state, arrivals, champion or one, prints, fitness)


def rounds(config, first, count, **changes):
    """Rounds one after the other: the tasks and the results."""
    _, found, _ = first
    state, known = None, (found.prints, found.fitness)
    for number in range(1, count + 1):
        t = task(config, first, state, number, known=known, **changes)
        result = island_round(t)
        yield t, result
        state = result.state
        fresh = result.candidates
        known = np.append(known[0], fresh.prints), np.append(known[1], fresh.fitness)


def test_the_start_program_is_the_first_candidate(first):
    one, found, counts = first
    assert len(found.rules) == counts.evaluated == counts.generated == 1
    assert found.parents.tolist() == [ROOT]
    assert found.kinds.tolist() == [-1]
    assert parse(found.rules[0]).body == start_program(tiny()).body
    assert one.fitness == found.fitness
    assert 0 < one.fitness[0] < 1


def test_a_start_may_be_a_rule_s_text():
    text = "def mine(w, g, m, lr, b=0.5):\n  m = interp(g, m, b)\n  u = lr * m\n  return u, m\n"
    program = start_program(tiny(start=text))
    assert program == parse(
        "def rule(w, g, m, lr):\n  m = interp(g, m, 0.5)\n  u = lr * m\n  return u, m"
    )
    assert start_program(tiny(start="lion")).body == library.get("lion").inlined().body


def test_a_round_is_pure(first):
    config = tiny(cycles=2)
    *_, (before, _) = rounds(config, first, 3)
    kept = copy.deepcopy(before)
    one, two = island_round(before), island_round(before)
    same(one, two)
    same(before[3:], kept[3:])
    same(island_round(kept), one)
    assert one.counts.evaluated > 0
    for other in ({"island": 1}, {"number": 9}):
        assert island_round(before._replace(**other)).candidates.rules != one.candidates.rules
    reseeded = before._replace(config=tiny(cycles=2, seed=1))
    assert island_round(reseeded).candidates.rules != one.candidates.rules


def test_the_oldest_leave(first):
    config = tiny()
    one, _, _ = first
    island = new_island(one, config.evolution.population)._replace(
        fitness=np.arange(30.0), prints=np.arange(30), oldest=np.int64(25)
    )
    new = Individuals(take(one.genomes, [0] * 8), np.arange(100.0, 108), np.arange(100, 108))
    after = enter(island, new)
    assert after.prints[25:].tolist() == [100, 101, 102, 103, 104]
    assert after.prints[:3].tolist() == [105, 106, 107]
    assert after.prints[3:25].tolist() == list(range(3, 25))
    np.testing.assert_array_equal(after.fitness, after.prints)
    assert after.oldest == 3
    assert island.prints.tolist() == list(range(30))
    for _ in range(3):
        after = enter(after, new)
    assert after.oldest == 27
    assert after.prints.tolist().count(107) == 4
    assert 29 not in after.prints


def test_tournaments_pick_the_fitter():
    rng = np.random.default_rng(0)
    fitness = np.random.default_rng(1).permutation(100) / 100
    for size in (1, 2, 5):
        chosen = tournament(rng, fitness, size, 20_000)
        # The largest of k uniform numbers is k/(k+1) on average.
        assert fitness[chosen].mean() == pytest.approx(size / (size + 1), abs=0.01)
        assert len(np.unique(chosen)) > (90 if size == 1 else 60)
    weakest = int(np.argmin(fitness))
    chosen = tournament(rng, fitness, 2, 20_000)
    assert 0 < np.mean(chosen == weakest) < 0.001  # only against itself


def test_what_is_known_is_not_trained_again(first):
    config = tiny(population=60, children=60, evaluations=60)
    t = task(config, first)
    once = island_round(t)
    assert once.counts.evaluated == len(once.candidates.rules) > 10
    # Pretend that all of it was known, at fitness that no training gives.
    made_up = -np.arange(1.0, len(once.candidates.prints) + 1)
    known = (
        np.append(t.known_prints, once.candidates.prints),
        np.append(t.known_fitness, made_up),
    )
    again = island_round(t._replace(known_prints=known[0], known_fitness=known[1]))
    assert again.counts.evaluated == again.counts.trainings == again.counts.steps == 0
    assert again.counts.generated == again.counts.duplicates == 60
    assert again.candidates.rules == ()
    fitness_of = dict(zip(*map(np.ndarray.tolist, known), strict=True))
    assert [fitness_of[p] for p in again.state.prints.tolist()] == again.state.fitness.tolist()
    np.testing.assert_array_equal(again.state.prints, once.state.prints)


def test_the_limit_of_evaluations_is_kept_and_the_rest_is_not_born(first):
    config = tiny(population=60, children=60, evaluations=60)
    whole = island_round(task(config, first))
    few = island_round(task(tiny(population=60, children=60, evaluations=4), first))
    assert few.counts.evaluated == 4
    assert few.candidates.rules == whole.candidates.rules[:4]
    born = few.counts.generated
    assert few.counts.duplicates == born - 4
    assert 4 <= born < 60
    assert few.state.oldest == born
    np.testing.assert_array_equal(few.state.prints[:born], whole.state.prints[:born])
    start = first[0].prints[0]
    assert np.all(few.state.prints[born:] == start)


def test_each_print_is_trained_once_in_a_campaign(first):
    prints = [p for _, r in rounds(tiny(cycles=3), first, 4) for p in r.candidates.prints]
    assert len(set(prints)) == len(prints) > 40
    assert int(first[0].prints[0]) not in prints


def test_parents_are_known_and_rules_are_legal(first):
    ancestors = {int(first[0].prints[0])}
    for _, result in rounds(tiny(cycles=2), first, 4):
        found = result.candidates
        for rule, parent, kind, fitness, status in zip(
            found.rules, found.parents, found.kinds, found.fitness, found.status, strict=True
        ):
            program = parse(rule)
            assert check(program) is None
            assert parent in ancestors | set(found.prints.tolist())
            assert kind in range(3)
            assert 0 <= fitness <= 1
            assert fitness == 0 or status == 0
        ancestors |= set(found.prints.tolist())
        counts = result.counts
        assert counts.illegal == 0
        assert counts.stopped == np.sum(found.status == 1)
        assert counts.diverged == np.sum(found.status == 2)
        assert counts.generated == counts.evaluated + counts.duplicates


def test_a_recorded_rule_is_the_individual_it_was(first):
    config = tiny()
    for _, result in rounds(config, first, 2):
        found = result.candidates
        for rule, fitness, print_ in zip(found.rules, found.fitness, found.prints, strict=True):
            one = individual(rule, fitness, print_, config)
            assert decode(take(one.genomes, 0), layout_of(config)) == parse(rule)


def test_a_start_whose_state_is_a_variable_that_may_die():
    text = "def f(w, g, m, lr):\n  keep = interp(g, m, 0.9)\n  u = lr * g\n  return u, keep\n"
    config = tiny(start=text)
    one, found, _ = first_candidate(config)
    rebuilt = individual(found.rules[0], 0.5, 1, config)
    assert decode(take(rebuilt.genomes, 0), layout_of(config)).outputs == ("u", "m")
    result = island_round(task(config, (one, found, None)))
    for rule in result.candidates.rules:
        individual(rule, 0.5, 1, config)


@pytest.mark.parametrize("fresh", [0, 1])
def test_restarts(first, fresh):
    config = tiny(fresh_starts=fresh, patience=2)
    *_, (t, _) = rounds(config, first, 2)
    champion = individual(
        "def rule(w, g, m, v, lr):\n    update = cbrt(g)\n    return update, m, v", 0.75, 77, config
    )
    for stale in (1, 2):
        state = t.state._replace(stale=np.int64(stale))
        result = island_round(t._replace(state=state, champion=champion))
        assert result.counts.restarts == (stale == 2)
        born = result.counts.generated
        old = result.state.prints[-(30 - born) :] if stale == 2 else []
        if stale == 1:
            assert result.state.restarts == 0
            continue
        assert result.state.restarts == 1
        expected = first[0] if fresh else champion
        assert np.all(old == expected.prints[0])
        assert np.all(result.state.fitness[-(30 - born) :] == expected.fitness[0])
        parents = set(result.candidates.parents.tolist())
        assert parents == {int(expected.prints[0])}
        # The second restart begins at the champion, however the first began.
        state = result.state._replace(stale=np.int64(2))
        second = island_round(t._replace(state=state, champion=champion, number=5))
        assert second.state.restarts == 2
        assert set(second.candidates.parents.tolist()) == {77}


def test_staleness_counts_rounds_without_a_better_rule(first):
    config = tiny(patience=100)
    best, stale = first[0].fitness[0], 0
    moved = 0
    for _, result in rounds(config, first, 12):
        found = max(result.candidates.fitness, default=0)
        if found > best:
            best, stale, moved = found, 0, moved + 1
        else:
            stale += 1
        assert result.state.best == best
        assert result.state.stale == stale
    assert moved
    assert stale


def test_an_island_that_climbs_over_known_rules_is_not_stale(first):
    """After a fresh start the way up leads over rules that are known: that is progress too."""
    config = tiny(population=60, children=60, evaluations=60)
    t = task(config, first)
    once = island_round(t)
    assert once.state.best > first[0].fitness[0]
    known = (
        np.append(t.known_prints, once.candidates.prints),
        np.append(t.known_fitness, once.candidates.fitness),
    )
    again = island_round(t._replace(known_prints=known[0], known_fitness=known[1]))
    assert again.counts.evaluated == 0
    assert again.state.best == once.state.best
    assert again.state.stale == 0


def test_arrivals_replace_the_oldest_and_take_part(first):
    config = tiny(tournament=30)
    guest = individual(
        "def rule(w, g, m, v, lr):\n    update = cbrt(g)\n    return update, m, v", 0.99, 77, config
    )
    result = island_round(task(config, first, arrivals=guest))
    assert result.state.prints[0] == 77
    # Of thirty entrants one is likely the guest, the fittest.
    assert np.mean(result.candidates.parents == 77) > 0.3


def test_emigrants_are_the_fittest_and_different(first):
    one, _, _ = first
    island = new_island(one, tiny().evolution.population)._replace(
        fitness=np.r_[np.full(10, 0.5), np.full(10, 0.7), np.linspace(0, 0.4, 10)],
        prints=np.r_[np.full(10, 8), np.repeat([4, 3], 5), np.arange(20, 30)],
    )
    leaving = emigrants(island, 4)
    assert leaving.prints.tolist() == [3, 4, 8, 29]
    assert leaving.fitness.tolist() == [0.7, 0.7, 0.5, 0.4]
    assert len(leaving.genomes.ops) == 4
    assert len(emigrants(island, 30).prints) == 13
    assert len(emigrants(island, 0).prints) == 0


def test_hyperparameter_evolution_never_changes_the_structure(first):
    config = tiny(method="hyperparameters", cycles=3)
    start = start_program(config)
    shape = [(s.target, s.op, s.variables) for s in start.body]
    seen = set()
    for _, result in rounds(config, first, 3):
        assert set(result.candidates.kinds.tolist()) <= {SCALE}
        for i in range(len(result.state.fitness)):
            program = decode(take(result.state.genomes, i), layout_of(config))
            assert [(s.target, s.op, s.variables) for s in program.body] == shape
            seen.add(program)
    assert len(seen) > 20


def test_hyperparameter_evolution_of_a_rule_without_constants_goes_nowhere():
    config = tiny(method="hyperparameters", start="sgd")
    first_ = first_candidate(config)
    result = island_round(task(config, first_))
    assert result.counts.evaluated == 0
    assert result.counts.duplicates == 20
    assert set(result.state.prints.tolist()) == set(first_[0].prints.tolist())


def test_random_search_starts_from_the_start_each_time(first):
    config = tiny(method="random", cycles=2)
    lengths, total = set(), 0
    for _, result in rounds(config, first, 3):
        assert set(result.candidates.parents.tolist()) <= {int(first[0].prints[0])}
        total += len(result.candidates.rules)
        for i in range(len(result.state.fitness)):
            program = decode(take(result.state.genomes, i), layout_of(config))
            assert check(program) is None
            lengths.add(len(program.body))
    assert total > 15
    assert len(lengths) > 4
