"""The readings of genomes: numpy in float32 for CPUs, and the batched interpreter in JAX.

Both are held to the float64 reference, step by step, on generated programs and on mutants.
"""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from mutants import LAYOUT, generations
from strategies import NAMES, SHAPES, agree, inputs, programs, spread

from metaopt.rules import parse
from metaopt.rules.analysis import live
from metaopt.rules.genome import (
    Genome,
    Layout,
    decode,
    encode,
    stack,
    take,
    without_dead_code,
)
from metaopt.rules.host import compile_step
from metaopt.rules.interpreter import step
from metaopt.rules.ops import OPS
from metaopt.rules.program import Program
from metaopt.rules.reference import run

SIZES = tuple(int(np.prod(s)) for s in SHAPES)
RATE = 0.125
STEPS = list(inputs(3))
FLAT = [[np.concatenate([np.ravel(x) for x in xs]) for xs in wg] for wg in STEPS]
GENERATED = Layout("rule", ("m", "v"), (), ("w", "g", "m", "v", "lr", "t", *NAMES), capacity=12)
SIMPLE = tuple(
    n for n in OPS if n not in ("exp10", "exp", "exp2", "sinh", "cosh", "expm1", "power", "tan")
)


@cache
def machine(layout: Layout, sizes: tuple[int, ...], batched: str):
    """The interpreter over stacked genomes, whose states each has of its own."""
    one = partial(step, layout=layout, sizes=sizes)

    def all_of(genomes, w, g, states, lr, t):
        if batched == "vmap":
            return jax.vmap(one, in_axes=(0, None, None, 0, None, None))(
                genomes, w, g, states, lr, t
            )
        return jax.lax.map(lambda xs: one(xs[0], w, g, xs[1], lr, t), (genomes, states))

    return jax.jit(all_of)


def interpreted(genomes, layout, batched, dtype, flat=FLAT, sizes=SIZES):
    """For each program and step the update."""
    with jax.enable_x64(dtype == np.float64):
        states = jnp.zeros((len(genomes.ops), len(layout.states), sum(sizes)), dtype)
        found = []
        for t, (w, g) in enumerate(flat, 1):
            w, g = jnp.asarray(w, dtype), jnp.asarray(g, dtype)
            update, states = machine(layout, sizes, batched)(
                genomes, w, g, states, dtype(RATE), dtype(t)
            )
            found.append(np.asarray(update))
            assert update.dtype == states.dtype == dtype
    return np.swapaxes(found, 0, 1)


def hosted(genome, layout, flat=FLAT, sizes=SIZES):
    """For each step the update."""
    host_step = compile_step(genome, layout, sizes)
    states = np.zeros((len(layout.states), sum(sizes)), np.float32)
    found = []
    with np.errstate(all="ignore"):
        for t, (w, g) in enumerate(flat, 1):
            w, g = np.float32(w), np.float32(g)
            kept = w.copy(), g.copy()
            update = host_step(w, g, states, np.float32(RATE), np.float32(t))
            assert np.asarray(update).dtype == np.float32
            found.append(np.broadcast_to(update, w.shape).copy())
            np.testing.assert_array_equal((w, g), kept)  # its inputs are not its own
    return found


def as_held(program):
    """The program with the values that its genome holds: constants rounded to float32."""
    for i, j, value in tuple(program.constants()):
        program = program.with_argument(i, j, float(np.float32(value)))
    values = tuple((name, float(np.float32(x))) for name, x in program.hyperparameters)
    return replace(program, hyperparameters=values)


def agree_single(found, program, steps=STEPS):
    """Agreement at float32's precision, where the result does not hang on rounding or range.

    Elements that could overflow, or that a rounding to float32 moves by much, are left out.
    """
    exact, widths = spread(program, steps, RATE)
    # A rounding error of float32 is 2^29 times one of float64.
    scaled = [width * 2.0**31 for width in widths]
    for x, y, width in zip(found, exact, scaled, strict=True):
        with np.errstate(all="ignore"):
            sure = (width <= 1e-2 * np.maximum(np.abs(y), 1e-3)) & (np.abs(y) < 1e30)
            wrong = sure & ~(np.abs(x - y) <= 4 * width + 1e-4 * np.abs(y) + 1e-6)
        assert not wrong.any(), f"{x[wrong]} is not {y[wrong]} in\n{program}"
    return sum(int(np.isfinite(width).sum()) for width in widths)


def in_range(program):
    """Whether no intermediate result leaves float32's range: there the readings may differ."""
    extreme = []

    def note(x):
        size = np.abs(x[np.isfinite(x) & (x != 0)])
        if size.size:
            extreme.extend((size.max(), size.min()))
        extreme.append(1e99 if not np.isfinite(x).all() else 1.0)
        return x

    states = {s: [np.zeros(x) for x in SHAPES] for s in program.states}
    for t, (w, g) in enumerate(STEPS, 1):
        _, states = run(program, w, g, states, RATE, t, rounding=note)
    return max(extreme, default=1.0) < 1e30 and min(extreme, default=1.0) > 1e-30


@settings(max_examples=120)
@given(programs(hyperparameters=None))
def test_interpreter_in_double_precision(program):
    """All operations, NaN and infinities included, one by one as a switch."""
    genomes = stack([encode(program, GENERATED)])
    found = interpreted(genomes, GENERATED, "map", np.float64)
    agree(found[0], spread(program, STEPS, RATE))


@settings(max_examples=150)
@given(programs(operations=SIMPLE))
def test_host_and_interpreter_in_single_precision(program):
    if not in_range(program):
        return
    genome = encode(program, GENERATED)
    agree_single(hosted(genome, GENERATED), program)
    for batched in ("vmap", "map"):
        agree_single(interpreted(stack([genome]), GENERATED, batched, np.float32)[0], program)


@pytest.fixture(scope="module")
def mutants():
    (*_, (_, genomes, _)) = generations(12, 250, seed=11)
    return genomes


def test_mutants_in_double_precision(mutants):
    vmapped = interpreted(mutants, LAYOUT, "vmap", np.float64)
    mapped = interpreted(mutants, LAYOUT, "map", np.float64)
    for i in range(len(vmapped)):
        program = decode(take(mutants, i), LAYOUT)
        expected = spread(as_held(program), STEPS, RATE)
        agree(vmapped[i], expected)
        agree(mapped[i], expected)


def test_mutants_in_single_precision(mutants):
    vmapped = interpreted(mutants, LAYOUT, "vmap", np.float32)
    checked = 0
    for i in range(len(vmapped)):
        program = decode(take(mutants, i), LAYOUT)
        if not in_range(program):
            continue
        agree_single(vmapped[i], program)
        checked += agree_single(hosted(take(mutants, i), LAYOUT), program)
    assert checked > 0.3 * vmapped.size


def test_dead_code_changes_no_update(mutants):
    alive = np.asarray(jax.jit(jax.vmap(partial(live, layout=LAYOUT)))(mutants))
    lean = without_dead_code(mutants, alive)
    for i in range(len(alive)):
        whole, short = (hosted(take(g, i), LAYOUT) for g in (mutants, lean))
        np.testing.assert_array_equal(whole, short)


def test_a_limit_that_covers_the_programs_changes_nothing(mutants):
    genomes = take(mutants, slice(0, 20))
    longest = int(np.max(np.sum(genomes.ops >= 0, axis=1)))
    w, g = (jnp.float32(x) for x in FLAT[0])
    states = jnp.zeros((2, sum(SIZES)))

    def limited(genome, limit):
        return step(genome, w, g, states, RATE, 1, layout=LAYOUT, sizes=SIZES, limit=limit)

    batched = jax.jit(jax.vmap(limited, in_axes=(0, None)))
    everything, cut, short = (batched(genomes, n) for n in (LAYOUT.capacity, longest, 1))
    jax.tree.map(np.testing.assert_array_equal, everything, cut)
    assert np.any(np.asarray(everything[0]) != np.asarray(short[0]))


SIZE_ONE = (1, 5, 1, 2)
REDUCTIONS = """
def f(w, g, m, v, lr, t):
    n = norm(g)
    s = norm(t)
    k = global_norm(w)
    j = global_norm(lr)
    d = dot(w, 2)
    c = cosine_sim(w, g)
    x = clip_by_global_norm(w, c)
    y = clip_by_global_norm(n, 1)
    z = clip_by_global_norm(lr, t)
    q = dot(n, s)
    m = m + {0}
    u = m * g
    v = v + n
    return u, m, v
"""


@pytest.mark.parametrize("name", list("nskjdcxyzq"))
def test_reductions_over_several_tensors(name):
    program = parse(REDUCTIONS.format(name))
    layout = Layout.of(program)
    shapes = [(), (5,), (1, 1), (2, 1)]
    steps = list(inputs(3, shapes, seed=4))
    flat = [[np.concatenate([np.ravel(x) for x in xs]) for xs in wg] for wg in steps]
    exact, _ = spread(program, steps, RATE)
    genome = encode(program, layout)
    np.testing.assert_allclose(hosted(genome, layout, flat, SIZE_ONE), exact, rtol=1e-5, atol=1e-6)
    found = interpreted(stack([genome]), layout, "map", np.float64, flat, SIZE_ONE)[0]
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("u = m + v", "u, v, m"),  # the states change places
        ("u = m + v", "m, g, u"),
        ("m = m + g", "v, m, m"),
        ("u = lr * g", "g, w, g"),
        ("u = lr * g", "lr, t, lr"),  # states and update that are scalars
        ("m = g + v", "w, v, m"),
        ("v = pi()", "v, v, m"),
    ],
)
def test_states_may_become_each_other_and_what_they_like(body, result):
    program = parse(f"def f(w, g, m, v, lr, t):\n  a = t + 0\n  {body}\n  return {result}")
    layout = Layout.of(program)
    genome = encode(program, layout)
    exact, _ = spread(program, STEPS, RATE)
    np.testing.assert_allclose(hosted(genome, layout), exact, rtol=1e-6)
    found = interpreted(stack([genome]), layout, "map", np.float32)[0]
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_hyperparameters_are_read_from_the_genome():
    program = parse("def f(w, g, lr, c=2, d=3):\n  u = c * g\n  u = u + d\n  return u")
    layout = Layout.of(program)
    genome = encode(program, layout)
    changed = genome._replace(hyperparameters=np.float32([0.5, -1.0]))
    both = interpreted(stack([genome, changed]), layout, "vmap", np.float32)
    for found, (c, d) in zip(both, ((2, 3), (0.5, -1)), strict=True):
        np.testing.assert_allclose(found, [c * g + d for _, g in FLAT])
    np.testing.assert_allclose(hosted(changed, layout), [0.5 * g - 1 for _, g in FLAT])


def test_a_program_without_statements_and_padding():
    program = Program("rule", ("m", "v"), (), ("g", "w", "g"))
    genome = encode(program, GENERATED)
    assert isinstance(genome, Genome)
    np.testing.assert_array_equal(hosted(genome, GENERATED), [g for _, g in FLAT])
    found = interpreted(stack([genome]), GENERATED, "map", np.float32)[0]
    np.testing.assert_array_equal(found, [g for _, g in FLAT])
