"""The vectorized analysis says of every genome what `check` says of its program."""

from functools import partial

import jax
import numpy as np
import pytest
from mutants import LAYOUT, START, corrupted, generations

from metaopt.rules.analysis import UNDEFINED, facts, length, live, result_extent
from metaopt.rules.check import check, input_extents, live_statements
from metaopt.rules.check import result_extent as extent_of
from metaopt.rules.genome import decode, encode, stack, take
from metaopt.rules.ops import BY_CODE, OPS, Extent

FACTS = jax.jit(jax.vmap(partial(facts, layout=LAYOUT)))
LIVE = jax.jit(jax.vmap(partial(live, layout=LAYOUT)))


@pytest.fixture(scope="module")
def mutants():
    """Thousands of legal genomes, from 5 to 30 mutations away from the start."""
    found = [m for i, (_, m, _) in enumerate(generations(30, 300)) if i % 5 == 4]
    return [leaf for m in found for leaf in [m]]


def decoded(genomes):
    return [decode(take(genomes, i), LAYOUT) for i in range(len(genomes.ops))]


def test_validity_is_that_of_check(mutants):
    verdicts = []
    for i, genomes in enumerate(mutants):
        for stack_ in (genomes, corrupted(genomes, seed=i)):
            expected = [check(p) is None for p in decoded(stack_)]
            np.testing.assert_array_equal(FACTS(stack_).valid, expected)
            verdicts += expected
    assert len(verdicts) > 3000
    assert 0.05 < verdicts.count(False) / len(verdicts) < 0.5


def test_liveness_is_that_of_check(mutants):
    dead = total = 0
    for i, genomes in enumerate(mutants):
        # Liveness is defined for illegal programs as well: nothing in it asks for definitions.
        for stack_ in (genomes, corrupted(genomes, seed=i)):
            found = np.asarray(LIVE(stack_))
            for row, program in zip(found, decoded(stack_), strict=True):
                expected, _ = live_statements(program)
                assert row[: len(expected)].tolist() == expected
                assert not row[len(expected) :].any()
                dead += expected.count(False)
                total += len(expected)
    assert 0.1 < dead / total < 0.9


def test_extents_before_each_statement_are_those_of_check(mutants):
    known = jax.tree.map(np.asarray, FACTS(mutants[-1]))
    for extents, program in zip(known.extents, decoded(mutants[-1]), strict=True):
        expected = input_extents(program)
        if "t" not in expected:
            expected["t"] = Extent.SCALAR
        for i in range(len(program.body) + 1):
            row = [expected.get(name, UNDEFINED) for name in LAYOUT.registers]
            assert extents[i].tolist() == row
            if i < len(program.body):
                expected[program.body[i].target] = extent_of(program.body[i], expected)


def test_use_is_reading_before_the_next_assignment(mutants):
    known = jax.tree.map(np.asarray, FACTS(mutants[-1]))
    for used, program in zip(known.used, decoded(mutants[-1]), strict=True):
        for i in range(len(program.body) + 1):
            read, assigned = set(), set()
            for statement in program.body[i:]:
                read |= set(statement.variables) - assigned
                assigned.add(statement.target)
            read |= set(program.outputs) - assigned
            assert {n for n, u in zip(LAYOUT.registers, used[i], strict=True) if u} == read


def test_a_register_must_be_scalar_exactly_if_a_tensor_there_would_be_illegal(mutants):
    """The demand is checked against its definition: put a tensor there and ask `check`."""
    genomes = take(mutants[-1], slice(0, 60))
    known = jax.tree.map(np.asarray, FACTS(genomes))
    demands = 0
    for scalar, program in zip(known.scalar, decoded(genomes), strict=True):
        for i in range(len(program.body) + 1):
            extents = input_extents(program)
            extents.setdefault("t", Extent.SCALAR)
            for statement in program.body[:i]:
                extents[statement.target] = extent_of(statement, extents)
            for name, must in zip(LAYOUT.registers, scalar[i], strict=True):
                if name not in extents:
                    continue
                illegal = not legal_from(program, i, extents | {name: Extent.TENSOR})
                assert bool(must) == illegal, (str(program), i, name)
                demands += illegal
    assert demands > 50


def legal_from(program, start, extents):
    for statement in program.body[start:]:
        for position in OPS[statement.op].scalar_args:
            argument = statement.args[position]
            if isinstance(argument, str) and extents[argument] != Extent.SCALAR:
                return False
        extents[statement.target] = extent_of(statement, extents)
    return True


def test_result_extents_are_those_of_the_table():
    choices = np.array(np.meshgrid(*[list(Extent)] * 3)).reshape(3, -1).T
    for op in BY_CODE:
        found = jax.vmap(partial(result_extent, np.int32(op.code)))(choices)
        assert found.tolist() == [op.result(tuple(c[: op.arity])) for c in choices]


def test_length():
    genomes = stack([encode(START, LAYOUT)])
    assert length(genomes).tolist() == [len(START.body)]


def test_liveness_needs_as_many_passes_as_a_chain_of_states():
    from metaopt.rules import parse
    from metaopt.rules.genome import Layout

    program = parse("""
def chain(w, g, a, b, c, d, lr):
    u = lr * d
    d = c + w
    c = b + w
    b = a + w
    a = g + w
    return u, a, b, c, d
""")
    layout = Layout.of(program)
    assert np.asarray(live(encode(program, layout), layout)).all()
    assert live_statements(program)[0] == [True] * 5
