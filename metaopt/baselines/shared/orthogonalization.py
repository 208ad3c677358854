"""Exact orthogonal factors of matrices.

Sources: Golub and Van Loan, "Matrix Computations", 2013, sections 5.2 and 9.4.
"""

import jax
import jax.numpy as jnp


def polar_factor(x: jax.Array) -> jax.Array:
    """The orthogonal polar factor U V^T of x = U S V^T, by singular value decomposition.

    It is the matrix of spectral norm 1 that is best aligned with x. Directions in which x vanishes,
    to rounding, are left out: zeros stay zeros.

    Args:
      x: (..., m, n).

    Returns:
      (..., m, n), with the dtype of x.
    """
    wide = widened(x)
    u, s, vt = jnp.linalg.svd(wide, full_matrices=False)
    tolerance = max(x.shape[-2:]) * jnp.finfo(wide.dtype).eps
    kept = s > tolerance * s.max(axis=-1, keepdims=True, initial=0)
    return ((u * kept[..., None, :]) @ vt).astype(x.dtype)


def orthonormal_basis(x: jax.Array) -> jax.Array:
    """Q of x = Q R: orthonormal columns that span those of x.

    The diagonal of R is positive, which makes both unique.

    Args:
      x: (..., m, n), m >= n.

    Returns:
      (..., m, n), with the dtype of x. Its columns are orthonormal even where those of x are
      dependent or zero.
    """
    q, r = jnp.linalg.qr(widened(x))
    diagonal = jnp.diagonal(r, axis1=-2, axis2=-1)
    return (q * jnp.where(diagonal < 0, -1, 1)[..., None, :]).astype(x.dtype)


def widened(x: jax.Array) -> jax.Array:
    """As float32 what is narrower: decompositions know neither bfloat16 nor float16."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
