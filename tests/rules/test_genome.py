"""Genomes and programs: conversion without loss, and what is done to stacks."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import programs

from metaopt.rules import library, parse
from metaopt.rules.analysis import live
from metaopt.rules.check import check, live_statements
from metaopt.rules.genome import (
    CONSTANT,
    NOTHING,
    Layout,
    concatenate,
    decode,
    encode,
    stack,
    take,
    without_dead_code,
)
from metaopt.rules.program import Program, constant

ODD = [constant(x) for x in (0.1, -0.0, 1e-45, 3.4028235e38, -1e-38, 1 / 3, 16777216.0, 1e-8, -7.0)]


@settings(max_examples=150)
@given(
    programs(constants=ODD, hyperparameters={"b1": 0.9, "eps": 1e-16}),
    st.text("abc \n.", max_size=20),
    st.integers(0, 5),
    st.integers(0, 3),
)
def test_nothing_is_lost(program, doc, room, spares):
    program = Program(**{**program.__dict__, "doc": doc})
    layout = Layout.of(program, capacity=len(program.body) + room, spares=spares)
    back = decode(encode(program, layout), layout)
    assert back == program
    assert repr(back) == repr(program)  # equality does not see the sign of zero


@pytest.mark.parametrize("name", library.names())
def test_nothing_is_lost_of_known_rules(name):
    program = library.get(name)
    layout = Layout.of(program, capacity=30, spares=4)
    assert decode(encode(program, layout), layout) == program


def test_a_genome_has_the_documented_shapes_and_padding():
    program = library.get("lion")
    layout = Layout.of(program, capacity=10)
    genome = encode(program, layout)
    length = len(program.body)
    assert genome.ops.shape == genome.targets.shape == (10,)
    assert genome.args.shape == genome.constants.shape == (10, 3)
    assert genome.outputs.shape == (2,)
    np.testing.assert_array_equal(genome.hyperparameters, np.float32([0.9, 0.99, 0.001]))
    assert {leaf.dtype for leaf in genome} == {np.dtype(np.int32), np.dtype(np.float32)}
    assert np.all(genome.ops[length:] == NOTHING)
    assert np.all(genome.ops[:length] != NOTHING)
    assert np.all(genome.args[length:] == CONSTANT)


def test_registers_are_numbered_as_documented():
    layout = Layout.of(library.get("adam"), spares=2)
    assert layout.registers[:9] == ("w", "g", "m", "v", "lr", "t", "b1", "b2", "eps")
    assert layout.num_tensors == 4
    assert layout.num_inputs == 9
    assert layout.registers[-2:] == ("x1", "x2")
    assert len(set(layout.registers)) == len(layout.registers)


def test_spare_names_avoid_those_in_use():
    program = parse("def f(w, g, lr):\n  x1 = w + g\n  x3 = lr * x1\n  return x3")
    known = ("w", "g", "lr", "t", "x1", "x3")
    assert Layout.of(program, spares=3).registers == (*known, "x2", "x4", "x5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(w, g, m, lr):\n  u = lr * g\n  return u, m", "has states"),
        ("def f(w, g, lr, c=2):\n  u = lr * g\n  return u", "hyperparameters"),
        ("def f(w, g, lr):\n  u = lr * g\n  u = u + w\n  return u", "2 statements.*room for 1"),
        ("def f(w, g, lr):\n  other = lr * g\n  return other", "no register for other"),
    ],
)
def test_what_the_layout_has_no_room_for_is_named(text, message):
    layout = Layout.of(parse("def f(w, g, lr):\n  u = lr * g\n  return u"))
    with pytest.raises(ValueError, match=message):
        encode(parse(text), layout)


def stacked(programs_):
    layout = Layout.of(programs_[0], capacity=12)
    names = dict.fromkeys(layout.registers)
    for program in programs_:
        names |= dict.fromkeys(program.variables)
    layout = Layout(**{**layout.__dict__, "registers": tuple(names)})
    return stack([encode(p, layout) for p in programs_]), layout


def test_take_stack_and_concatenate():
    one = parse("def f(w, g, m, lr):\n  u = lr * g\n  return u, m")
    two = parse("def f(w, g, m, lr):\n  m = m + g\n  u = lr * m\n  return u, m")
    genomes, layout = stacked([one, two, one])
    assert genomes.ops.shape == (3, 12)
    assert [decode(take(genomes, i), layout) for i in range(3)] == [one, two, one]
    assert decode(take(take(genomes, [1, 0]), 0), layout) == two
    assert take(genomes, slice(1, 3)).args.shape == (2, 12, 3)
    joined = concatenate([take(genomes, slice(0, 2)), take(genomes, [1])])
    assert [decode(take(joined, i), layout) for i in range(3)] == [one, two, two]
    assert joined.ops.dtype == np.int32


@settings(max_examples=40)
@given(st.lists(programs(), min_size=1, max_size=4))
def test_without_dead_code_keeps_the_live_statements_and_no_others(generated):
    generated = [Program("rule", p.states, p.body, p.outputs) for p in generated]
    genomes, layout = stacked(generated)
    alive = np.array([live_statements(p)[0] + [False] * (12 - len(p.body)) for p in generated])
    before = [leaf.copy() for leaf in genomes]
    lean = without_dead_code(genomes, alive)
    for a, b in zip(genomes, before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert lean.ops.shape[1] == max(1, alive.sum(axis=1).max())
    for i, program in enumerate(generated):
        found = decode(take(lean, i), layout)
        expected = [s for s, a in zip(program.body, alive[i], strict=False) if a]
        assert list(found.body) == expected
        assert check(found) is None
        assert parse(str(found)) == found
        assert found.outputs[0] == program.outputs[0]
        _, live_states = live_statements(program)
        for state, new, old in zip(
            program.states, found.outputs[1:], program.outputs[1:], strict=True
        ):
            assert new == old or (new == state and state not in live_states)


def test_a_dead_state_that_lost_its_statement_keeps_its_value():
    program = parse("def f(w, g, m, v, lr):\n  x = 2 * m\n  u = lr * v\n  return u, x, v")
    layout = Layout.of(program, capacity=4)
    genomes = stack([encode(program, layout)])
    alive = np.asarray(jax.vmap(partial(live, layout=layout))(genomes))
    lean = decode(take(without_dead_code(genomes, alive), 0), layout)
    assert lean == parse("def f(w, g, m, v, lr):\n  u = lr * v\n  return u, m, v")
