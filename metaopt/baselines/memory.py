"""How much an optimizer remembers: bytes of its state, found without allocating it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.baselines.baseline import Baseline

NETWORK = {
    "embed": {"embedding": (8192, 1024)},
    "patches": {"kernel": (4, 4, 64, 1024), "bias": (1024,)},
    "attention": {
        "query": {"kernel": (1024, 16, 64)},
        "key": {"kernel": (1024, 16, 64)},
        "value": {"kernel": (1024, 16, 64)},
        "out": {"kernel": (16, 64, 1024)},
    },
    "dense_1": {"kernel": (1024, 4096), "bias": (4096,)},
    "dense_2": {"kernel": (4096, 1024), "bias": (1024,)},
    "norm": {"scale": (1024,), "bias": (1024,)},
    "head": {"kernel": (1024, 8192), "bias": (8192,)},
}
"""Shapes of a network with one block, on which the memory of methods is compared."""


def state_bytes(optimizer: optax.GradientTransformation, params: Any) -> int:
    """Bytes of an optimizer's state.

    Args:
      optimizer: the transformation.
      params: pytree of arrays, or of anything with `shape` and `dtype`.
    """
    return tree_bytes(jax.eval_shape(optimizer.init, params))


def relative_memory(row: Baseline) -> float | None:
    """Bytes of a baseline's state over those of the float32 parameters, on `NETWORK`.

    A wrapper's include those of its inner optimizer; a schedule has no state, and gives None.
    """
    if row.kind == "schedule":
        return None
    params = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        NETWORK,
        is_leaf=lambda node: isinstance(node, tuple),
    )
    optimizer = row.optimizer(0.01, num_steps=100)
    return state_bytes(optimizer, params) / tree_bytes(params)


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree's arrays, or of arrays of such shapes. A PRNG key counts its words."""
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(leaf: Any) -> int:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    # int4 takes half a byte, and counts as such.
    bits = jnp.iinfo(leaf.dtype).bits if leaf.dtype == jnp.int4 else 8 * leaf.dtype.itemsize
    return -(-int(np.prod(leaf.shape, dtype=np.int64)) * bits // 8)
