"""Fingerprints: the same for programs that mean the same, different for those that do not."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import LAYOUT, generations
from strategies import programs

from metaopt.rules import library, parse
from metaopt.rules.analysis import live
from metaopt.rules.check import check
from metaopt.rules.fingerprint import fingerprint
from metaopt.rules.genome import Layout, concatenate, encode, stack, take, without_dead_code
from metaopt.rules.ops import OPS, Reduces
from metaopt.rules.program import Assign, Program

LIVE = jax.jit(jax.vmap(partial(live, layout=LAYOUT)))


def prints(*rules):
    """Fingerprints, each program in a layout of its own."""
    found = []
    for rule in rules:
        program = parse(rule) if isinstance(rule, str) else rule
        layout = Layout.of(program)
        found.append(int(fingerprint(stack([encode(program, layout)]), layout)[0]))
    return found


def rule(body, states="", result="u"):
    lines = "\n".join(f"    {line}" for line in body.split("; "))
    return f"def f(w, g, {states + ', ' if states else ''}lr, t):\n{lines}\n    return {result}"


@pytest.fixture(scope="module")
def mutants():
    (*_, (_, genomes, _)) = generations(20, 1500, seed=7)
    return genomes


@settings(max_examples=100)
@given(programs(), st.data())
def test_exchanged_arguments_make_no_difference(program, data):
    places = [i for i, s in enumerate(program.body) if OPS[s.op].commutative]
    # Which of 0 and -0 is the maximum depends on their order, and 1/x sees it.
    places = [i for i in places if program.body[i].op not in ("max", "min")]
    exchanged = program
    for i in places:
        if data.draw(st.booleans()):
            a, b = program.body[i].args
            exchanged = exchanged.with_statement(i, replace(program.body[i], args=(b, a)))
    a, b = prints(program, exchanged)
    assert a == b


@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].commutative])
def test_each_commutative_operation_commutes(op):
    call = "{0} {2} {1}" if OPS[op].infix else "{2}({0}, {1})"
    a, b = prints(*(rule("u = " + call.format(x, y, op)) for x, y in (("g", "w"), ("w", "g"))))
    assert a == b


@pytest.mark.parametrize("op", ["-", "/", "power"])
def test_other_operations_do_not(op):
    call = "{0} {2} {1}" if OPS[op].infix else "{2}({0}, {1})"
    a, b = prints(*(rule("u = " + call.format(x, y, op)) for x, y in (("g", "w"), ("w", "g"))))
    assert a != b


@settings(max_examples=100)
@given(programs(), st.data())
def test_dead_code_makes_no_difference(program, data):
    body = list(program.body)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        op = data.draw(st.sampled_from([o for o in OPS.values() if not o.scalar_args]))
        args = tuple(data.draw(st.sampled_from(["w", "g", "m", 2.0])) for _ in range(op.arity))
        body.insert(place, Assign(f"dead{data.draw(st.integers(0, 3))}", op.name, args))
    longer = replace(program, body=tuple(body))
    assert check(longer) is None
    a, b = prints(program, longer)
    assert a == b


@settings(max_examples=100)
@given(programs(), st.permutations(["a", "b", "c", "d"]))
def test_names_make_no_difference(program, order):
    new = {"m": "second", "v": "first", **dict(zip("abcd", order, strict=True))}

    def renamed(name):
        return new.get(name, name) if isinstance(name, str) else name

    body = tuple(Assign(renamed(s.target), s.op, tuple(map(renamed, s.args))) for s in program.body)
    other = Program("other", ("second", "first"), body, tuple(map(renamed, program.outputs)))
    a, b = prints(program, other)
    assert a == b


def test_without_dead_code_makes_no_difference(mutants):
    lean = without_dead_code(mutants, np.asarray(LIVE(mutants)))
    assert lean.ops.shape[1] <= mutants.ops.shape[1]
    assert (lean.ops >= 0).sum() < 0.9 * (mutants.ops >= 0).sum()
    np.testing.assert_array_equal(fingerprint(lean, LAYOUT), fingerprint(mutants, LAYOUT))


def test_what_runs_beside_a_program_makes_no_difference(mutants):
    found = fingerprint(mutants, LAYOUT)
    assert len(np.unique(found)) / len(found) > 0.3
    order = np.random.default_rng(0).permutation(len(found))
    np.testing.assert_array_equal(fingerprint(take(mutants, order), LAYOUT), found[order])
    for i in range(0, len(found), 97):
        assert fingerprint(take(mutants, [i]), LAYOUT)[0] == found[i]
    for size in (1, 2, 5, 1024, 1025):  # a chunk holds 1024
        np.testing.assert_array_equal(
            fingerprint(take(mutants, slice(0, size)), LAYOUT), found[:size]
        )
    twice = fingerprint(concatenate([mutants, mutants]), LAYOUT)
    np.testing.assert_array_equal(twice, np.tile(found, 2))
    assert len(fingerprint(take(mutants, slice(0, 0)), LAYOUT)) == 0


def test_room_in_the_layout_makes_no_difference():
    program = library.get("adam")
    found = set()
    for capacity, spares in ((0, 0), (40, 0), (0, 9), (40, 9)):
        layout = Layout.of(program, capacity=capacity, spares=spares)
        found.add(int(fingerprint(stack([encode(program, layout)]), layout)[0]))
    assert len(found) == 1


def test_all_known_rules_differ():
    found = prints(*(library.get(name) for name in library.names()))
    assert len(set(found)) == len(library.names())


def test_a_constant_and_a_hyperparameter_of_that_value_are_the_same():
    for name in library.names():
        program = library.get(name)
        a, b = prints(program, program.inlined())
        assert a == b, name


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("u = 2 * g", "u = g + g"),
        ("u = g * 0.5", "a = g * 0.25; u = a + a"),
        ("a = square(g); u = sqrt(a)", "u = abs(g)"),
        ("u = negative(g)", "u = 0 - g"),
        ("a = lr * 1; u = a * g", "u = g * lr"),
        ("u = interp(g, w, 0)", "u = g * 1"),
        ("a = e(); u = power(a, g)", "u = exp(g)"),
    ],
)
def test_what_is_equal_by_algebra_is_the_same(one, two):
    a, b = prints(rule(one), rule(two))
    assert a == b


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("u = g * lr", "u = g * t"),
        ("u = g * 0.9", "u = g * 0.90001"),
        ("u = norm(g)", "u = global_norm(g)"),
        ("u = sign(g)", "u = g / 0.1"),
        ("u = sign(g)", "u = cbrt(g)"),
        ("u = max(g, 20)", "u = max(g, 21)"),
        ("u = clip_by_global_norm(g, 2)", "u = clip_by_global_norm(g, 3)"),
        ("u = g * 1", "u = g + 0.0001"),
        ("u = sin(g)", "u = tanh(g)"),
        ("u = log(w)", "u = log1p(w)"),
        ("u = norm(1)", "u = norm(2)"),
        ("u = pi()", "u = e()"),
    ],
)
def test_what_is_not_equal_differs(one, two):
    a, b = prints(rule(one), rule(two))
    assert a != b


def test_differences_that_only_later_steps_show():
    same_first = "m = m + g; u = lr * g; u = u + 0"
    one = rule(f"{same_first}", "m", "u, m")
    two = rule("a = m * 1; m = m + g; u = lr * g; u = u + a", "m", "u, m")  # the same at step 1
    three = rule("a = m * t; m = m + g; u = lr * g; u = u + a", "m", "u, m")
    twice = rule("u = lr * g; u = u + v; v = m + 0; m = g + 0", "m, v", "u, m, v")  # delayed by 2
    decay = [
        rule(f"u = lr * g; u = u + v; v = m + 0; m = g * {b}", "m, v", "u, m, v")
        for b in (0.9, 0.99)
    ]
    found = prints(one, two, three, twice, *decay)
    assert len(set(found)) == 6


def test_differences_that_only_the_step_count_shows():
    found = prints(
        rule("u = g * 1"),
        rule("a = min(t, 1); u = g * a"),  # t is at least 1: the same
        rule("a = min(t, 2); u = g * a"),
        rule("a = min(t, 3); u = g * a"),
        rule("a = min(t, 9); u = g * a"),
        rule("a = 1 / t; u = g * a"),
    )
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_a_state_that_is_replaced_by_its_own_update_is_not_confused():
    """The two states are exchanged at each step: both must be read before either is written."""
    found = prints(
        rule("a = g + v; u = m + a; m = m * 1", "m, v", "u, v, a"),
        rule("a = g + v; u = m + a; v = v * 1", "m, v", "u, v, a"),
        rule("a = g + v; u = m + a", "m, v", "u, a, v"),
    )
    assert found[0] == found[1] != found[2]


def test_nan_is_as_good_a_result_as_any():
    found = prints(
        rule("a = 2 + lr; u = arcsin(a)"),
        rule("u = arccos(7)"),
        rule("a = reciprocal(0); u = g * a"),
    )
    assert found[0] == found[1] != found[2]


def test_reductions_see_both_tensors():
    per_tensor = [n for n, op in OPS.items() if op.reduces is Reduces.EACH_TENSOR]
    assert per_tensor == ["norm"]
    a, b = prints(rule("a = norm(g); u = global_norm(a)"), rule("u = global_norm(g)"))
    assert a != b
