"""Power and subspace iterations: the leading singular vectors, a little better at every step.

Sources: Golub and Van Loan, "Matrix Computations", 2013, section 8.2; Miyato et al., "Spectral
Normalization for Generative Adversarial Networks", 2018, arXiv:1802.05957, for the warm start.
"""

from typing import Any

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.orthogonalization import orthonormal_basis


def top_singular(
    x: jax.Array, u: jax.Array, steps: int = 1
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The largest singular value and its vectors, by power iteration from u.

        v <- x^T u / ||x^T u||;  u <- x v / ||x v||        steps times
        sigma = u^T x v

    Of a matrix that changes slowly, keep u from one call to the next: one step is then enough.

    Args:
      x: (..., m, n).
      u: (..., m), of length one. Where x maps it to zero, it stays.
      steps: one or more.

    Returns:
      sigma (...), u (..., m) and v (..., n). From below: sigma is at most the spectral norm.
    """

    def step(_: Any, carry: Any) -> Any:
        _, u, v = carry
        v, _ = _unit(_times(x.mT, u), v)
        u, sigma = _unit(_times(x, v), u)
        return sigma, u, v

    sigma = jnp.zeros(x.shape[:-2], x.dtype)
    v = jnp.zeros((*x.shape[:-2], x.shape[-1]), x.dtype)
    return jax.lax.fori_loop(0, steps, step, (sigma, u, v))


def top_subspace(matrix: jax.Array, basis: jax.Array) -> jax.Array:
    """One step of subspace iteration, towards the leading eigenvectors: Q of qr(matrix basis).

    Args:
      matrix: (..., m, m), symmetric, positive semi-definite.
      basis: (..., m, rank).

    Returns:
      (..., m, rank), orthonormal, sorted in the limit by decreasing eigenvalue.
    """
    return orthonormal_basis(matrix @ basis)


def _times(x: jax.Array, vector: jax.Array) -> jax.Array:
    return (x @ vector[..., None])[..., 0]


def _unit(vector: jax.Array, otherwise: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A vector scaled to length one, or another in place of zero; and its length."""
    length = jnp.linalg.norm(vector, axis=-1, keepdims=True)
    safe = jnp.where(length > 0, length, 1)
    return jnp.where(length > 0, vector / safe, otherwise), length[..., 0]
