"""Layers that are computed in another way than flax's give what flax's give."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.layers import Conv, look_up


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("side", [7, 8])
def test_conv_is_flaxs(size, strides, side):
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(2, side, side + 2, 3)), jnp.float32)
    ours, flaxs = (kind(4, size, strides) for kind in (Conv, nn.Conv))
    params = flaxs.init(jax.random.key(0), inputs)
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(0), inputs)) == jax.tree.map(
        jnp.shape, params
    )
    np.testing.assert_allclose(
        ours.apply(params, inputs), flaxs.apply(params, inputs), rtol=1e-5, atol=1e-5
    )


def test_a_look_up_is_the_product_with_one_hot_vectors():
    table = jax.random.normal(jax.random.key(0), (3, 7, 4))  # of three networks
    ids = jnp.array([[0, 6], [2, 2], [5, 0]], jnp.int32)
    weights = jax.random.normal(jax.random.key(1), (3, 2, 4))

    def product(table):
        return jnp.sum(weights[0] * (jax.nn.one_hot(ids[0], 7) @ table) ** 2)

    def looked_up(table):
        return jnp.sum(weights[0] * look_up(table, ids[0]) ** 2)

    np.testing.assert_array_equal(jax.vmap(look_up)(table, ids)[2], table[2][ids[2]])
    for derive in (jax.grad, jax.hessian):
        for of_one, expected in zip(
            jax.vmap(derive(looked_up))(table), jax.vmap(derive(product))(table), strict=True
        ):
            np.testing.assert_allclose(of_one, expected, rtol=1e-5, atol=1e-6)
