"""Low-rank approximation by random sketches.

Source: Halko, Martinsson and Tropp, "Finding Structure with Randomness", 2011, arXiv:0909.4061.
"""

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.orthogonalization import orthonormal_basis, widened


def gaussian_sketch(key: jax.Array, x: jax.Array, rank: int) -> jax.Array:
    """The product x Omega with a matrix of independent standard normal entries.

    Args:
      key: a random key.
      x: (m, n).
      rank: columns of Omega.

    Returns:
      (m, rank).
    """
    return x @ jax.random.normal(key, (x.shape[-1], rank), x.dtype)


def randomized_range(
    key: jax.Array, x: jax.Array, rank: int, power_iterations: int = 0
) -> jax.Array:
    """An orthonormal basis Q of what x reaches most strongly: x is close to Q Q^T x.

        Q <- qr(x Omega)
        Q <- qr(x qr(x^T Q))        power_iterations times

    Algorithms 4.1 and 4.4.

    Args:
      key: a random key.
      x: (m, n).
      rank: columns of the basis; at most min(m, n).
      power_iterations: each makes singular values decay faster, and the basis better.

    Returns:
      (m, rank), with the dtype of x.
    """
    wide = widened(x)
    basis = orthonormal_basis(gaussian_sketch(key, wide, rank))
    for _ in range(power_iterations):
        basis = orthonormal_basis(wide @ orthonormal_basis(wide.mT @ basis))
    return basis.astype(x.dtype)


def randomized_svd(
    key: jax.Array,
    x: jax.Array,
    rank: int,
    *,
    oversampling: int = 5,
    power_iterations: int = 1,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The leading singular triplets, x = U diag(s) V^T approximately.

    The decomposition of Q^T x, with Q of `randomized_range` (algorithm 5.1).

    Args:
      key: a random key.
      x: (m, n).
      rank: how many triplets; at most min(m, n).
      oversampling: further columns of the sketch, for accuracy.
      power_iterations: as of `randomized_range`.

    Returns:
      U (m, rank), s (rank,) and V^T (rank, n), with the dtype of x.
    """
    wide = widened(x)
    sketched = min(rank + oversampling, *x.shape)
    basis = randomized_range(key, wide, sketched, power_iterations)
    u, s, vt = jnp.linalg.svd(basis.mT @ wide, full_matrices=False)
    u, s, vt = (basis @ u)[:, :rank], s[:rank], vt[:rank]
    return u.astype(x.dtype), s.astype(x.dtype), vt.astype(x.dtype)
