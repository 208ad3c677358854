"""The Haar transform: sums and differences of neighbours, orthonormal.

Source: Haar, "Zur Theorie der orthogonalen Funktionensysteme", 1910, doi:10.1007/BF01456326.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def haar(x: jax.Array, level: int) -> list[jax.Array]:
    """The Haar transform along the last axis.

        a_i = (x_{2i} + x_{2i+1}) / sqrt(2),    d_i = (x_{2i} - x_{2i+1}) / sqrt(2)

    and again of a, `level` times. An odd length is filled up with a zero.

    Args:
      x: (..., n).
      level: how often; at least 0.

    Returns:
      The approximation, (..., about n / 2^level), then the details, coarsest first: each twice as
      long as the one before, or one less.
    """
    details: list[jax.Array] = []
    for _ in range(level):
        if x.shape[-1] % 2:
            x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)])
        even, odd = x[..., ::2], x[..., 1::2]
        details.insert(0, (even - odd) / jnp.sqrt(2).astype(x.dtype))
        x = (even + odd) / jnp.sqrt(2).astype(x.dtype)
    return [x, *details]


def inverse_haar(coefficients: Sequence[jax.Array], length: int) -> jax.Array:
    """What `haar` made these coefficients of: (..., length)."""
    x, *details = coefficients
    lengths = [d.shape[-1] for d in details[1:]] + [length]
    for detail, size in zip(details, lengths, strict=False):
        pair = jnp.stack([x + detail, x - detail], -1) / jnp.sqrt(2).astype(x.dtype)
        x = pair.reshape(*x.shape[:-1], -1)[..., :size]
    return x
