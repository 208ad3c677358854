"""What trainings of a meta-training are judged by, and what it begins with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from metaopt.learned import released
from metaopt.learned.learnable import learnable_adam
from search.meta.config import EstimatorConfig, MetaConfig, NetworkConfig
from search.meta.inner import normalized, training
from search.meta.train import first_weights
from search.meta.work import inner

TASK = "wine_linear_model_b4_penalty0.000962__parameter10s1767"


def test_the_end_is_judged_on_what_was_held_back():
    task, network = tasks.get(TASK), learnable_adam()
    theta = network.init(jax.random.key(0))
    fresh, held_back = (
        training(network, task, spread=3.0, normalization="log", held_back=flag)
        for flag in (False, True)
    )
    state = held_back.begin(theta, jax.random.key(1), jnp.int32(10))
    ends = [float(held_back.final(theta, state, jax.random.key(i))) for i in range(2)]
    # Parameters are in units of their own; the task sees them in its own.
    original = jax.tree.map(lambda v, s: v * s, state.params, state.scales)
    loss = task.evaluate(original, "validation") / task.trivial_loss
    np.testing.assert_allclose(ends, np.log(loss + 0.01), rtol=1e-5)
    assert float(fresh.final(theta, state, jax.random.key(0))) != ends[0]


def test_a_configuration_decides_what_the_end_is_judged_on():
    network, theta = NetworkConfig("learnable_adam"), learnable_adam().init(jax.random.key(0))
    ends = []
    for loss in ("end", "validation"):
        found = inner(network, EstimatorConfig("full_es", loss=loss), 1.0, TASK)
        state = found.begin(theta, jax.random.key(1), jnp.int32(10))
        ends.append([float(found.final(theta, state, jax.random.key(i))) for i in range(2)])
    assert ends[0][0] != ends[0][1]
    assert ends[1][0] == ends[1][1]


@pytest.mark.parametrize("floor", [1e-2, 1e-4])
def test_losses_below_the_floor_are_alike(floor):
    losses = jnp.float32([1.0, floor, 1e-3 * floor, 0.0])
    found = np.exp(normalized(losses, 1.0, "log", floor)) / floor
    np.testing.assert_allclose(found, [1 + 1 / floor, 2.0, 1.001, 1.0], rtol=1e-4)
    assert np.isnan(normalized(jnp.float32(np.nan), 1.0, "log", floor))


def test_a_floor_of_zero_is_refused():
    with pytest.raises(ValueError, match="floor must be positive"):
        EstimatorConfig(floor=0.0)


def test_a_released_optimizer_can_be_gone_on_from():
    name = released.names()[-1]
    learned, theta = released.read(released.find(name))
    kind, sizes = learned.contract.partition("/")[0], learned.sizes
    found = first_weights(MetaConfig(network=NetworkConfig(kind, **sizes), start=name))
    jax.tree.map(np.testing.assert_array_equal, found, theta)
