"""The moving averages of gradients that learned optimizers see, for one tensor.

With decays d (three), c (one) and f (three), g the gradient and q = g^2 + 1e-30:

  m_i   <- d_i m_i + (1 - d_i) g           no bias correction
  v     <- c v + (1 - c) g^2
  row_j <- f_j row_j + (1 - f_j) mean(q over the largest axis)
  col_j <- f_j col_j + (1 - f_j) mean(q over the second largest axis)

Tensors with fewer than two axes have nothing to factor: row_j is the average of q itself, and there
is no col_j. Factored averages keep the axis that was averaged, with size 1, so that they broadcast.

Reference: Metz et al., "Practical tradeoffs between memory, compute, and performance in learned
optimizers", 2022 (arXiv 2203.11860); the factored averages are Adafactor's (Shazeer and Stern,
arXiv 1804.04235).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Decays(NamedTuple):
    """Decays of the moving averages, each a number or a float32 scalar in [0, 1].

    Attributes:
      momentum: of m, three.
      second: of v.
      factored: of row and col, three.
    """

    momentum: Sequence[jax.Array | float] = (0.9, 0.99, 0.999)
    second: jax.Array | float = 0.999
    factored: Sequence[jax.Array | float] = (0.9, 0.99, 0.999)


class Accumulators(NamedTuple):
    """The moving averages of one tensor; float32, or what the state holds them as.

    Attributes:
      m: three of the gradient, of the tensor's shape.
      v: one of its square, of the tensor's shape.
      row: three of its square, averaged over the tensor's largest axis.
      col: three of its square, averaged over the second largest; none for vectors and scalars.
    """

    m: tuple[jax.Array, ...]
    v: jax.Array
    row: tuple[jax.Array, ...]
    col: tuple[jax.Array, ...]


def largest_axes(shape: Sequence[int]) -> tuple[int, int] | None:
    """The largest and the second largest axis; None if there are no two. Of equals the later."""
    if len(shape) < 2:
        return None
    *_, second, first = np.argsort(shape, kind="stable").tolist()
    return first, second


def zeros(shape: Sequence[int], *, compact: bool) -> Accumulators:
    """The averages before any gradient."""
    axes = largest_axes(shape)
    held = jnp.bfloat16 if compact else jnp.float32
    row_shape, col_shape = shape, None
    if axes is not None:
        row_shape, col_shape = (_without(shape, axis) for axis in axes)
    return Accumulators(
        m=(
            jnp.zeros(shape, held),
            jnp.zeros(shape, held),
            jnp.zeros(shape, jnp.float32),
        ),
        v=jnp.zeros(shape, held),
        row=tuple(jnp.zeros(row_shape, jnp.float32) for _ in range(3)),
        col=() if col_shape is None else tuple(jnp.zeros(col_shape, jnp.float32) for _ in range(3)),
    )


def updated(old: Accumulators, g: jax.Array, decays: Decays) -> Accumulators:
    """The averages with one more gradient, float32."""
    g = g.astype(jnp.float32)
    square = g * g
    q = square + 1e-30
    axes = largest_axes(g.shape)

    def averaged(kept: Sequence[jax.Array], new: jax.Array) -> tuple[jax.Array, ...]:
        return tuple(_moving(decay, x, new) for decay, x in zip(decays.factored, kept, strict=True))

    row, col = (
        (averaged(old.row, q), ())
        if axes is None
        else (
            averaged(kept, jnp.sum(q, axis=axis, keepdims=True) / max(1, q.shape[axis]))
            for kept, axis in zip((old.row, old.col), axes, strict=True)
        )
    )
    m = tuple(_moving(d, x, g) for d, x in zip(decays.momentum, old.m, strict=True))
    return Accumulators(m, _moving(decays.second, old.v, square), row, col)


def stored(new: Accumulators, g: jax.Array, count: jax.Array, *, compact: bool) -> Accumulators:
    """The averages as the state holds them.

    Compact, the two faster averages of the gradient are bfloat16, and so is v, dithered: rounded to
    the nearest, an average that moves by a thousandth of its size would not move.
    """
    if not compact:
        return new
    *fast, slow = new.m
    m = (*(x.astype(jnp.bfloat16) for x in fast), slow)
    return new._replace(m=m, v=_dithered(new.v, g.astype(jnp.float32), count))


def _moving(decay: jax.Array | float, old: jax.Array, new: jax.Array) -> jax.Array:
    return decay * old.astype(jnp.float32) + (1 - decay) * new


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


def _dithered(x: jax.Array, entropy: jax.Array, count: jax.Array) -> jax.Array:
    """Positive float32 as bfloat16, up or down by chance, so that it is right on average.

    What decides is a hash (Knuth's multiplicative one) of the bits of another array, such as a
    gradient, and of the number of the update, since gradients may repeat: no keys, the same
    wherever it runs, and elementwise.
    """
    bits = lax.bitcast_convert_type(entropy, jnp.uint32)
    hashed = bits * jnp.uint32(2654435761) + count.astype(jnp.uint32) * jnp.uint32(2654435769)
    rounded = (lax.bitcast_convert_type(x, jnp.uint32) + (hashed >> 16)) >> 16
    return lax.bitcast_convert_type(rounded.astype(jnp.uint16), jnp.bfloat16)


# ---------------------------------------------------------------- what follows from them


class Factors(NamedTuple):
    """What Adafactor multiplies a gradient with, for each of the three decays.

    rf = rsqrt(max(row / (mean(row) + 1e-9), 1e-9)) and cf = rsqrt(max(col, 1e-9)), the mean over
    the second largest axis; without factors rf = rsqrt(max(row + 1e-9, 1e-9)) and cf = 1.
    """

    rf: tuple[jax.Array, ...]
    cf: tuple[jax.Array, ...]


def factors(acc: Accumulators) -> Factors:
    """The factors of a tensor; those that are 1 are scalars."""
    if not acc.col:
        rf = tuple(lax.rsqrt(jnp.maximum(row + 1e-9, 1e-9)) for row in acc.row)
        return Factors(rf, tuple(jnp.float32(1.0) for _ in rf))
    axes = largest_axes(np.maximum(acc.row[0].shape, acc.col[0].shape).tolist())
    assert axes is not None
    _, second = axes

    def row_factor(row: jax.Array) -> jax.Array:
        mean = jnp.mean(row, axis=second, keepdims=True)
        return lax.rsqrt(jnp.maximum(row / (mean + 1e-9), 1e-9))

    return Factors(
        tuple(map(row_factor, acc.row)),
        tuple(lax.rsqrt(jnp.maximum(col, 1e-9)) for col in acc.col),
    )
