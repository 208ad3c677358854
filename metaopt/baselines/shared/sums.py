"""Sums over all parameters, never in fewer bits than float32.

In bfloat16 a sum stops growing as soon as its terms are 256 times smaller than itself.
"""

from typing import Any

import jax
import jax.numpy as jnp


def scalar_dtype(tree: Any) -> Any:
    """The dtype of sums over a tree: float32, or float64 where a leaf has it."""
    return jnp.result_type(jnp.float32, *jax.tree.leaves(tree))


def inner(a: Any, b: Any) -> jax.Array:
    """The inner product of two trees, ()."""
    return total(jax.tree.map(lambda x, y: _wide(x) * _wide(y), a, b))


def l1_norm(a: Any) -> jax.Array:
    """The sum of absolute values of a tree, ()."""
    return total(jax.tree.map(lambda x: jnp.abs(_wide(x)), a))


def total(tree: Any) -> jax.Array:
    """The sum of all entries of a tree, ()."""
    dtype = scalar_dtype(tree)
    sums = [jnp.sum(_wide(leaf), dtype=dtype) for leaf in jax.tree.leaves(tree)]
    return sum(sums, jnp.zeros((), dtype))


def _wide(leaf: jax.Array) -> jax.Array:
    return leaf.astype(scalar_dtype(leaf))
