"""Moving averages of squares of matrices in the memory of a row and a column.

    R <- decay R + (1 - decay) mean over columns of S
    C <- decay C + (1 - decay) mean over rows of S
    V = R C^T / mean(R)

is the matrix of rank one that has the row and column means of the averages, and the least
I-divergence from them. The last two axes are those of the matrix; which of them is rows does not
matter. What has one axis or none is averaged as it is.

Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018,
arXiv:1804.04235.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.norms import rms


class Factors(NamedTuple):
    """A matrix of rank one.

    Attributes:
      rows: (..., m), its row means.
      columns: (..., n), its column means.
    """

    rows: jax.Array
    columns: jax.Array


def zeros(like: jax.Array) -> Any:
    """The average before the first step: `Factors`, or an array where there is no matrix."""
    if like.ndim < 2 or like.size == 0:
        return jnp.zeros_like(like)
    return Factors(jnp.zeros_like(like[..., 0]), jnp.zeros_like(like[..., 0, :]))


def average(square: jax.Array, v: Any, decay: Any) -> Any:
    """The average one step later.

    Args:
      square: (..., m, n), what is averaged.
      v: the average before.
      decay: its weight.
    """

    def moved(before: jax.Array, now: jax.Array) -> jax.Array:
        return (decay * before + (1 - decay) * now).astype(before.dtype)

    if not isinstance(v, Factors):
        return moved(v, square)
    return Factors(moved(v.rows, square.mean(-1)), moved(v.columns, square.mean(-2)))


def inverse_root(v: Any) -> jax.Array:
    """V^(-1/2), elementwise: (..., m, n)."""
    if not isinstance(v, Factors):
        return jax.lax.rsqrt(v)
    rows = v.rows / v.rows.mean(-1, keepdims=True)
    return jax.lax.rsqrt(rows)[..., :, None] * jax.lax.rsqrt(v.columns)[..., None, :]


def clip_root_mean_square(x: jax.Array, largest: Any) -> jax.Array:
    """x, scaled down to a root mean square of `largest` if it has more."""
    return (x / jnp.maximum(1, rms(x) / largest)).astype(x.dtype)
