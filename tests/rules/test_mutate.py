"""Mutation: always legal, exactly what it says, and distributed as documented."""

import jax
import numpy as np
import pytest
from mutants import LAYOUT, START, generations, mutator
from scipy import stats

from metaopt.rules import parse
from metaopt.rules.check import check, input_extents, result_extent
from metaopt.rules.genome import Layout, decode, encode, stack, take
from metaopt.rules.mutate import (
    DELETE,
    INSERT,
    KINDS,
    MODIFY,
    SCALE,
    UNCHANGED,
    MutationWeights,
    mutate,
)
from metaopt.rules.ops import OPS, Extent

ALL = MutationWeights(1, 1, 1, 1)


def many(program, layout, weights, count, seed=0):
    """Mutants of one program, as programs and as genomes, with their kinds."""
    keys = jax.random.split(jax.random.key(seed), count)
    genomes, kinds = mutator(layout, weights)(keys, stack([encode(program, layout)] * count))
    return [decode(take(genomes, i), layout) for i in range(count)], genomes, kinds


def without(body, i):
    return (*body[:i], *body[i + 1 :])


def assert_is(kind, parent, child):
    """That the child differs from the parent by exactly one mutation of this kind."""
    assert child.outputs == parent.outputs
    assert child.hyperparameters == parent.hyperparameters
    old, new = parent.body, child.body
    if kind == INSERT:
        assert any(without(new, i) == old for i in range(len(new)))
    elif kind == DELETE:
        assert any(without(old, i) == new for i in range(len(old)))
    else:
        assert [(s.target, s.op, len(s.args)) for s in new] == [
            (s.target, s.op, len(s.args)) for s in old
        ]
        pairs = [
            (a, b)
            for s, t in zip(old, new, strict=True)
            for a, b in zip(s.args, t.args, strict=True)
            if a != b
        ]
        assert len(pairs) <= 1
        for before, after in pairs:
            if kind == SCALE:
                assert not isinstance(before, str)
                assert not isinstance(after, str)
                assert np.sign(after) == np.sign(before)
        if kind == MODIFY and not pairs:  # only what is 0, infinite or rounded away stays as it is
            assert any(c == 0 for _, _, c in parent.constants())


def test_every_mutant_is_legal_and_one_step_from_its_parent():
    seen = dict.fromkeys(range(3), 0)
    longest = shortest = len(START.body)
    for generation, (parents, mutants, kinds) in enumerate(generations(50, 200)):
        for i in range(200):
            child = decode(take(mutants, i), LAYOUT)
            assert check(child) is None, str(child)
            longest, shortest = max(longest, len(child.body)), min(shortest, len(child.body))
            if generation % 3 == 0:
                assert_is(kinds[i], decode(take(parents, i), LAYOUT), child)
                seen[int(kinds[i])] += 1
    assert min(seen.values()) > 500
    assert longest == LAYOUT.capacity
    assert shortest < 8


def test_padding_stays_padding():
    for _, mutants, _ in generations(12, 200, seed=1):
        for i in range(0, 100, 7):
            again = encode(decode(take(mutants, i), LAYOUT), LAYOUT)
            for a, b in zip(take(mutants, i), again, strict=True):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype


def test_deterministic_in_the_key_and_vmapped_equals_looped():
    (_, parents, _), *_ = generations(3, 8, seed=2)
    keys = jax.random.split(jax.random.key(5), 8)
    one = mutator()(keys, parents)
    two = mutator()(keys, parents)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    single = jax.jit(mutate, static_argnums=(2, 3))
    for i in range(8):
        alone, kind = single(keys[i], take(parents, i), LAYOUT, MutationWeights())
        assert kind == one[1][i]
        jax.tree.map(np.testing.assert_array_equal, Genome_of(alone), take(one[0], i))
    other, _ = mutator()(jax.random.split(jax.random.key(6), 8), parents)
    assert any(np.any(a != b) for a, b in zip(other, one[0], strict=True))


def Genome_of(leaves):
    return type(leaves)(*map(np.asarray, leaves))


FULL = parse("def f(w, g, lr):\n  u = 2 * g\n  u = u + lr\n  return u")
NEEDED = parse("def f(w, g, lr):\n  u = lr * g\n  return u")
EMPTY = parse("def f(w, g, lr):\n  return g")
NULLARY = parse("def f(w, g, lr):\n  u = pi()\n  u = e()\n  return u")


@pytest.mark.parametrize(
    ("program", "room", "spares", "possible"),
    [
        (FULL, 0, 1, {DELETE, MODIFY, SCALE}),
        (FULL, 1, 1, {INSERT, DELETE, MODIFY, SCALE}),
        (NEEDED, 3, 1, {INSERT, MODIFY}),  # `u` is needed, and nothing else could be it
        (EMPTY, 3, 1, {INSERT}),
        (NULLARY, 0, 0, {DELETE}),
    ],
)
def test_impossible_kinds_are_never_chosen(program, room, spares, possible):
    layout = Layout.of(program, capacity=len(program.body) + room, spares=spares)
    children, _, kinds = many(program, layout, ALL, 300)
    assert set(kinds.tolist()) == possible
    assert all(check(child) is None for child in children)
    for kind, child in zip(kinds, children, strict=True):
        assert_is(kind, program, child)
    # Equal weights: what is possible is equally likely.
    counts = np.bincount(kinds, minlength=4)[sorted(possible)]
    assert len(counts) == 1 or stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("program", "weights"),
    [
        (NEEDED, MutationWeights(0, 1, 0, 1)),  # no constant, and the one statement is needed
        (FULL, MutationWeights(1, 0, 0, 0)),  # there is no room
    ],
)
def test_where_nothing_is_possible_nothing_changes(program, weights):
    children, _, kinds = many(program, Layout.of(program, spares=1), weights, 20)
    assert set(kinds.tolist()) == {UNCHANGED}
    assert all(child == program for child in children)


@pytest.fixture(scope="module")
def of_start():
    """Many mutants of `START`, of all kinds."""
    return many(START, LAYOUT, MutationWeights(1, 2, 3, 4), 12000)


def test_weights_are_relative_frequencies(of_start):
    _, _, kinds = of_start
    expected = np.array([1, 2, 3, 4]) * 1200
    assert stats.chisquare(np.bincount(kinds, minlength=4), expected).pvalue > 1e-3
    assert len(KINDS) == 4


@pytest.mark.parametrize("weights", [(-1, 1, 1, 1), (0, 0, 0, 0)])
def test_weights_that_cannot_be_sampled_from(weights):
    with pytest.raises(ValueError, match="must be >= 0 and not all 0"):
        MutationWeights(*weights)


LIVE_ALL = parse("""
def f(w, g, m, lr):
    a = g + w
    b = 2 * a
    c = b - m
    u = c * lr
    return u, m
""")
ROOMY = Layout.of(LIVE_ALL, capacity=8, spares=3)


@pytest.fixture(scope="module")
def inserted():
    """For each of many insertions: the place, where it is certain, and the new statement."""
    children, _, _ = many(LIVE_ALL, ROOMY, MutationWeights(1, 0, 0, 0), 8000)
    found = []
    for child in children:
        places = [i for i in range(5) if without(child.body, i) == LIVE_ALL.body]
        assert places
        found.append((places[0] if len(places) == 1 else None, child.body[places[0]]))
    return found


def test_all_operations_are_inserted_equally_often(inserted):
    ops = [OPS[statement.op].code for _, statement in inserted]
    counts = np.bincount(ops, minlength=45)
    assert counts.min() > 0
    assert stats.chisquare(counts).pvalue > 1e-3


def test_places_of_insertion_are_uniform(inserted):
    places = [place for place, _ in inserted if place is not None]
    assert len(places) > 0.99 * len(inserted)
    assert stats.chisquare(np.bincount(places, minlength=5)).pvalue > 1e-3


def test_arguments_and_targets_of_inserted_statements_are_uniform(inserted):
    # At the first place: w, g, m, lr, t are defined, and a constant is as likely as each of them.
    firsts = [s for place, s in inserted if place == 0 and len(s.args) == 2 and s.op != "interp"]
    firsts = [s for s in firsts if s.op != "clip_by_global_norm"]
    chosen = [a if isinstance(a, str) else "constant" for s in firsts for a in s.args]
    names, counts = np.unique(chosen, return_counts=True)
    assert set(names) == {"w", "g", "m", "lr", "t", "constant"}
    assert stats.chisquare(counts).pvalue > 1e-3
    targets, counts = np.unique([s.target for _, s in inserted], return_counts=True)
    # Inputs, assigned variables, and one fresh one.
    assert set(targets) == {"w", "g", "m", "lr", "t", "a", "b", "c", "u", "x1"}
    assert counts.min() > 0.8 * counts.max()


def test_new_constants_are_standard_normal(inserted):
    values = [a for _, s in inserted for a in s.args if not isinstance(a, str)]
    assert len(values) > 1000
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_statements_are_deleted_and_modified_uniformly(of_start):
    mutants, _, kinds = of_start
    children = [m for m, kind in zip(mutants, kinds, strict=True) if kind == DELETE]
    gone = [min(i for i in range(13) if without(START.body, i) == c.body) for c in children]
    rows, counts = np.unique(gone, return_counts=True)
    legal = [i for i in range(len(START.body)) if check(START.with_statement(i)) is None]
    assert rows.tolist() == legal
    assert stats.chisquare(counts).pvalue > 1e-3

    children = [m for m, kind in zip(mutants, kinds, strict=True) if kind == MODIFY]
    changed = [
        [i for i, (s, t) in enumerate(zip(START.body, c.body, strict=True)) if s != t]
        for c in children
    ]
    assert all(len(rows) == 1 for rows in changed)
    rows, counts = np.unique([r for (r,) in changed], return_counts=True)
    assert rows.tolist() == [i for i, s in enumerate(START.body) if s.args]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_three_ways_to_modify_a_constant():
    children, _, _ = many(FULL, Layout.of(FULL, spares=1), MutationWeights(0, 0, 1, 0), 8000)
    new = [c.body[0].args[0] for c in children if c.body[0].args[0] != 2.0]
    names = [a for a in new if isinstance(a, str)]
    constants = np.array([a for a in new if not isinstance(a, str)])
    assert set(names) == {"w", "g", "lr", "t"}
    # Half are 2 * 2^a; of the other half 1 in 5 is a new constant.
    assert len(constants) / len(new) == pytest.approx(0.6, abs=0.05)
    scaled = 2 * np.exp2(np.random.default_rng(0).normal(size=5000))
    fresh = np.random.default_rng(1).normal(size=1000)
    assert stats.ks_2samp(constants, np.concatenate([scaled, fresh])).pvalue > 1e-3


def test_a_modified_variable_is_always_another_and_of_any_kind():
    children, _, _ = many(FULL, Layout.of(FULL, spares=1), MutationWeights(0, 0, 1, 0), 3000, 1)
    rows = [c for c in children if c.body[1].args[0] != "u"]
    chosen = [a if isinstance(a, str) else "constant" for a in (c.body[1].args[0] for c in rows)]
    names, counts = np.unique(chosen, return_counts=True)
    assert set(names) == {"w", "g", "lr", "t", "constant"}
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_scale_is_two_to_a_standard_normal(of_start):
    _, genomes, kinds = of_start
    genomes = take(genomes, kinds == SCALE)
    before = encode(START, LAYOUT).constants
    chosen, exponents = [], []
    for constants in genomes.constants:
        places = np.argwhere(constants != before)
        assert len(places) <= 1
        for i, j in places:
            chosen.append(i)
            exponents.append(np.log2(np.float64(constants[i, j]) / before[i, j]))
    assert len(chosen) > 0.99 * len(genomes.ops) > 4000
    assert stats.kstest(exponents, "norm").pvalue > 1e-3
    rows, counts = np.unique(chosen, return_counts=True)
    assert rows.tolist() == [i for i, _, _ in START.constants()]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert np.all(genomes.args == encode(START, LAYOUT).args)


def test_constants_stay_finite():
    program = parse("def f(w, g, lr):\n  u = 3e38 * g\n  u = u + lr\n  return u")
    layout = Layout.of(FULL, spares=1)
    _, genomes, _ = many(program, layout, MutationWeights(0, 0, 1, 0), 500)
    assert np.isfinite(genomes.constants).all()
    assert genomes.constants.max() == np.finfo(np.float32).max


def test_scalar_arguments_never_receive_tensors():
    """Asked of the mutants' own text: what stands in the third place of interp, and so on."""
    found = 0
    for _, mutants, _ in list(generations(25, 200, seed=4))[-3:]:
        for i in range(200):
            program = decode(take(mutants, i), LAYOUT)
            extents = input_extents(program)
            for statement in program.body:
                for position in OPS[statement.op].scalar_args:
                    argument = statement.args[position]
                    if isinstance(argument, str):
                        assert extents[argument] == Extent.SCALAR
                        found += 1
                extents[statement.target] = result_extent(statement, extents)
    assert found > 100
