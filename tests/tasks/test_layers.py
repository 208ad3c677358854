"""Layers that are computed in another way than flax's give what flax's give."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.layers import Conv


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
