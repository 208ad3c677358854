"""Norms of arrays, and arrays scaled to one."""

from typing import Any

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.orthogonalization import widened


def to_norm(
    x: jax.Array, norm: Any, axis: tuple[int, ...] | int | None = None, eps: float = 1e-12
) -> jax.Array:
    """Scales x such that its Euclidean norm is `norm`: of all of it, or along `axis`.

    Args:
      x: array.
      norm: a number, or an array that broadcasts to x.
      axis: what the norm is taken over; default: all axes.
      eps: the least norm that is divided by, so that zeros stay zeros.
    """
    wide = widened(x)
    length = jnp.sqrt(jnp.sum(jnp.square(wide), axis=axis, keepdims=True))
    return (wide * (norm / jnp.maximum(length, eps))).astype(x.dtype)


def rms(x: jax.Array) -> jax.Array:
    """The root of the mean square of an array's entries; zero for an empty one."""
    return jnp.sqrt(jnp.sum(jnp.square(x)) / max(x.size, 1))
