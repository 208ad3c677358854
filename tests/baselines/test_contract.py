"""What holds for every baseline, whatever its paper."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from baseline_checks.trajectories import quick_jit
from flax import nnx

from metaopt import baselines
from metaopt.baselines import BASELINES
from metaopt.baselines.baseline import DECADES, equations_of
from metaopt.baselines.memory import state_bytes

SHAPES: dict[str, Any] = {
    "embed": {"embedding": (6, 4)},
    "conv": {"kernel": (2, 2, 3, 4)},
    "LayerNorm_0": {"scale": (4,)},
    "temperature": (),
    "empty": (0, 3),
    "head": {"kernel": (3, 2)},
}
"""A network's parameters of every kind: nested, scalar, empty, with two to four axes."""

STEPS = 8
ALL = pytest.mark.parametrize("name", BASELINES)


@cache
def _tree(seed: int, dtype: Any = jnp.float32) -> Any:
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(draw.normal(size=shape), dtype),
        SHAPES,
        is_leaf=lambda node: isinstance(node, tuple),
    )


def _build(name: str, rate: Any = None, **changes: Any) -> optax.GradientTransformationExtraArgs:
    row = BASELINES[name]
    rate = row.test_rate if rate is None else rate
    return row.optimizer(rate, num_steps=STEPS, **{**row.test, **changes})


@cache
def _stepped(name: str) -> tuple[Any, Any, Any]:
    """The jitted step, and the state before and after it."""
    optimizer = _build(name)
    params, gradients = _tree(0), _tree(1)

    @quick_jit
    def step(gradients, state, params):
        # Extra arguments that a method does not know are for others in the chain.
        return optimizer.update(
            gradients, state, params, value=jnp.float32(1.5), unheard_of=jnp.float32(0)
        )

    before = optimizer.init(params)
    updates, after = step(gradients, before, params)
    return step, before, (updates, after)


def _signature(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def _a_step_keeps_structure_and_compiles_once(name):
    step, before, (updates, after) = _stepped(name)
    assert _signature(updates) == _signature(_tree(0))
    assert _signature(after) == _signature(before)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updates))
    params = optax.apply_updates(_tree(0), updates)
    updates, _ = step(_tree(2), after, params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updates))
    assert step._cache_size() == 1


def _bfloat16_stays_bfloat16(name):
    optimizer = _build(name)
    params, gradients = _tree(0, jnp.bfloat16), _tree(1, jnp.bfloat16)
    before = jax.eval_shape(optimizer.init, params)
    updates, after = jax.eval_shape(
        lambda *args: optimizer.update(*args, value=jnp.float32(1.5)), gradients, before, params
    )
    assert _signature(updates) == _signature(params)
    assert _signature(after) == _signature(before)


def _gradients_in_bfloat16_leave_the_state_as_it_is(name):
    optimizer, params = _build(name), _tree(0)
    before = jax.eval_shape(optimizer.init, params)
    _, after = jax.eval_shape(
        lambda *args: optimizer.update(*args, value=jnp.float32(1.5)),
        _tree(1, jnp.bfloat16),
        before,
        params,
    )
    assert _signature(after) == _signature(before)


def _its_buffers_can_be_donated(name):
    """No array is there twice among parameters and state, which would be donated twice."""
    _, state, _ = _stepped(name)
    arrays = [
        jax.random.key_data(leaf) if _is_key(leaf) else leaf
        for leaf in jax.tree.leaves((_tree(0), state))
        if leaf.size
    ]
    buffers = [array.unsafe_buffer_pointer() for array in arrays]
    assert len(set(buffers)) == len(buffers)


class _Model(nnx.Module):
    def __init__(self):
        self.norm = nnx.LayerNorm(3, rngs=nnx.Rngs(0))
        self.conv = nnx.Conv(3, 4, 2, rngs=nnx.Rngs(0))
        self.head = nnx.Linear(4, 2, rngs=nnx.Rngs(0))


def _flax_nnx_holds_its_state(name):
    def steps():
        model = _Model()
        optimizer = nnx.Optimizer(model, _build(name), wrt=nnx.Param)
        before = jax.tree.structure(nnx.as_pure(optimizer.opt_state))
        gradients = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
        optimizer.update(model, gradients, value=jnp.float32(1.5))
        assert jax.tree.structure(nnx.as_pure(optimizer.opt_state)) == before
        return nnx.state(model)

    jax.eval_shape(steps)


def _a_saved_state_goes_on_identically(name):
    step, _, (_, state) = _stepped(name)
    leaves, treedef = jax.tree.flatten(state)
    saved = [
        np.asarray(jax.random.key_data(leaf)) if _is_key(leaf) else np.asarray(leaf)
        for leaf in leaves
    ]
    loaded = [
        jax.random.wrap_key_data(array) if _is_key(leaf) else jnp.asarray(array)
        for leaf, array in zip(leaves, saved, strict=True)
    ]
    expected = step(_tree(2), state, _tree(3))
    found = step(_tree(2), jax.tree.unflatten(treedef, loaded), _tree(3))
    jax.tree.map(_same, found, expected)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _same(a: Any, b: Any) -> None:
    if _is_key(a):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(a, b)


def _it_goes_where_optax_goes(name):
    """A schedule, injected hyperparameters, a chain, accumulation: each as the plain optimizer."""
    row, params, gradients = BASELINES[name], _tree(0), _tree(1)
    _, _, (expected, _) = _stepped(name)

    @optax.inject_hyperparams
    def injected(learning_rate):
        return _build(name, learning_rate)

    # `gradient_transformation()` of MultiSteps would drop the extra arguments.
    accumulated = optax.MultiSteps(_build(name), every_k_schedule=1)
    ways = [
        _build(name, lambda count: jnp.float32(row.test_rate)),
        injected(learning_rate=row.test_rate),
        optax.chain(optax.identity(), _build(name)),
        optax.GradientTransformationExtraArgs(accumulated.init, accumulated.update),
    ]

    @quick_jit
    def steps(gradients, params):
        return [
            optax.with_extra_args_support(way).update(
                gradients, way.init(params), params, value=jnp.float32(1.5)
            )[0]
            for way in ways
        ]

    for found in steps(gradients, params):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), found, expected
        )


def _what_it_needs_is_asked_for(name):
    row, optimizer = BASELINES[name], _build(name)
    _, state, _ = _stepped(name)

    def step(params, **extra):
        return jax.eval_shape(lambda: optimizer.update(_tree(1), state, params, **extra))

    if "params" in row.needs:
        with pytest.raises(ValueError, match="param"):
            step(None, value=1.5)
    else:
        step(None, value=1.5)
    if "value" in row.needs:
        with pytest.raises(ValueError, match="value="):
            step(_tree(0))
    else:
        step(_tree(0))


def _trees_without_structure(name):
    optimizer = _build(name)

    def step(params):
        state = optimizer.init(params)
        return optimizer.update(params, state, params, value=jnp.float32(1.5)), state

    for params in ({}, jnp.float32(2.0)):
        (updates, after), before = jax.eval_shape(step, params)
        assert _signature(updates) == _signature(params)
        assert _signature(after) == _signature(before)


def _losses_of_a_batch_fall_on_a_quadratic(name):
    row, steps = BASELINES[name], 100
    optimizer = row.optimizer(row.test_rate, num_steps=steps, **row.test)
    draw = np.random.default_rng(0)
    params = {
        "kernel": jnp.asarray(draw.normal(size=(2, 4, 3)), jnp.float32),
        "bias": jnp.ones((2, 3)),
    }

    def loss(params):
        return 0.5 * sum(jnp.sum((leaf - 0.1) ** 2) for leaf in jax.tree.leaves(params))

    def step(carry, _):
        params, state = carry
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params, value=value)
        return (optax.apply_updates(params, updates), state), value

    def run(params):
        return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[1]

    for values in np.asarray(quick_jit(jax.vmap(run))(params)):
        assert np.isfinite(values).all()
        assert values[-10:].mean() < 0.7 * values[0]


CONTRACT = (
    _a_step_keeps_structure_and_compiles_once,
    _bfloat16_stays_bfloat16,
    _gradients_in_bfloat16_leave_the_state_as_it_is,
    _its_buffers_can_be_donated,
    _flax_nnx_holds_its_state,
    _a_saved_state_goes_on_identically,
    _it_goes_where_optax_goes,
    _what_it_needs_is_asked_for,
    _trees_without_structure,
    _losses_of_a_batch_fall_on_a_quadratic,
)


# One test for each baseline, since its checks share what it compiles.
@ALL
def test_it_keeps_the_contract(name):
    for check in CONTRACT:
        check(name)


# ---------------------------------------------------------------- the table


@ALL
def test_its_row_is_whole(name):
    row = BASELINES[name]
    assert getattr(baselines, row.id) is row.factory
    assert all((row.name, row.title, row.authors, row.year, row.source, row.checked))
    assert equations_of(row), "the docstring's equations are an indented block before Args:"
    low, high = row.tuning["learning_rate"]
    assert np.isclose(np.log10(high / low), DECADES)


@pytest.mark.parametrize("name", [row.id for row in BASELINES.values() if row.matrix_bytes])
def test_its_state_is_as_small_as_promised(name):
    row = BASELINES[name]
    assert row.matrix_bytes is not None
    for m, n in ((96, 160), (256, 64)):
        # As flax lays it out: (inputs, outputs) = (n, m).
        params = {"dense": {"kernel": jax.ShapeDtypeStruct((n, m), jnp.float32)}}
        promised = row.matrix_bytes(m, n)
        # Counters, keys and the like do not count.
        assert promised <= state_bytes(_build(name), params) <= promised + 64
