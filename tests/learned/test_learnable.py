"""Learnable hyperparameters: bound, the optimizers are Optax's."""

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import optax
import pytest

from metaopt.learned import count
from metaopt.learned.learnable import learnable_adam, learnable_sgdm

PARAMS = readings.arrays(0, readings.SHAPES)
GRADIENTS = readings.arrays(1, readings.SHAPES, 10)


def _logs(**values):
    return {f"log_{name}": jnp.float32(np.log(value)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("learned", "theta", "twin"),
    [
        (
            learnable_adam(),
            _logs(learning_rate=0.3, one_minus_b1=0.2, one_minus_b2=0.05, eps=0.01),
            optax.adam(0.3, b1=0.8, b2=0.95, eps=0.01),
        ),
        (
            learnable_sgdm(),
            _logs(learning_rate=0.3, one_minus_momentum=0.2),
            optax.sgd(0.3, momentum=0.8),
        ),
        (learnable_adam(), None, optax.adam(0.001)),
        (learnable_sgdm(), None, optax.sgd(0.01, momentum=0.9)),
    ],
)
def test_bound_it_is_the_optimizer_of_optax(learned, theta, twin):
    theta = learned.init(jax.random.key(0)) if theta is None else theta
    twin = optax.with_extra_args_support(twin)
    expected, _ = readings.trained(lambda _: twin, None, PARAMS, GRADIENTS)
    found, _ = readings.trained(learned.bind, theta, PARAMS, GRADIENTS)
    # 1 - b2, in float32 the exponential of a logarithm, is within 1e-6 of its value.
    for name, updates in expected.items():
        np.testing.assert_allclose(found[name], updates, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("learned", [learnable_adam(), learnable_sgdm()])
def test_decays_end_at_zero(learned):
    theta = {
        name: leaf + (10.0 if "one_minus" in name else 0.0)
        for name, leaf in learned.init(jax.random.key(0)).items()
    }
    found, _ = readings.trained(learned.bind, theta, PARAMS, GRADIENTS)
    # Each update is that of its gradient alone.
    rate = float(np.exp(theta["log_learning_rate"]))
    for name, g in GRADIENTS.items():
        alone = np.sign(g) if "log_eps" in theta else g
        np.testing.assert_allclose(found[name], -rate * alone, rtol=1e-5)


@pytest.mark.parametrize("learned", [learnable_adam(), learnable_sgdm()])
def test_bfloat16_parameters_have_a_float32_state(learned):
    theta = learned.init(jax.random.key(0))
    params, gradients = (
        jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), tree) for tree in (PARAMS, GRADIENTS)
    )
    updates, state = readings.trained(learned.bind, theta, params, gradients)
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype(jnp.float32)}


def test_the_number_of_weights():
    learned = (learnable_adam(), learnable_sgdm())
    assert [count(readings.shapes_of_weights(each)) for each in learned] == [4, 2]
