"""Inverse roots of symmetric positive semi-definite matrices, A^{-1/p}.

Sources: Gupta et al., "Shampoo", 2018, arXiv:1802.09568; Guo and Higham, "A Schur-Newton Method
for the Matrix p-th Root and its Inverse", 2006, doi:10.1137/050643374; Anil et al., "Scalable
Second Order Optimization for Deep Learning", 2020, arXiv:2002.09018.
"""

from typing import Any

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.orthogonalization import widened


def inverse_root(matrix: jax.Array, p: float, ridge: Any = 0.0) -> jax.Array:
    """(A + ridge I)^{-1/p}, by decomposition into eigenvectors.

    Args:
      matrix: A, (..., m, m), symmetric. Negative eigenvalues, made by rounding, count as zero.
      p: the root; 2 gives the inverse square root.
      ridge: added to every eigenvalue: a number, or an array of shape (..., 1) or (..., m).

    Returns:
      (..., m, m), with the dtype of A. Where an eigenvalue is zero and there is no ridge, the
      pseudo-inverse's: zero.
    """
    values, vectors = jnp.linalg.eigh(widened(matrix))
    values = jnp.maximum(values, 0) + ridge
    positive = values > 0
    roots = jnp.where(positive, jnp.where(positive, values, 1) ** (-1 / p), 0)
    with jax.default_matmul_precision("highest"):
        return ((vectors * roots[..., None, :]) @ vectors.mT).astype(matrix.dtype)


def coupled_newton(
    matrix: jax.Array,
    p: int,
    ridge: Any = 0.0,
    *,
    max_steps: int = 100,
    tolerance: float = 1e-6,
) -> jax.Array:
    """(A + ridge I)^{-1/p} by products of matrices alone, as distributed Shampoo does it.

    With z = (1 + p) / (2 ||A + ridge I||_F):

        M <- z (A + ridge I);  H <- z^{1/p} I
        T = ((1 + p) I - M) / p;  M <- T^p M;  H <- H T

    until max |M - I| is at most `tolerance`, or it no longer falls.

    Args:
      matrix: A, (m, m), symmetric.
      p: the root, at least 1.
      ridge: added to the diagonal, to make it positive definite; a number or a scalar array.
        Distributed Shampoo takes 1e-6 times the largest eigenvalue of A.
      max_steps: stop after so many.
      tolerance: stop when M is as close to the identity as this.

    Returns:
      (m, m), with the dtype of A.
    """
    wide = widened(matrix)
    identity = jnp.eye(matrix.shape[-1], dtype=wide.dtype)
    damped = wide + ridge * identity
    z = (1 + p) / (2 * jnp.linalg.norm(damped))

    def error(m: jax.Array) -> jax.Array:
        return jnp.abs(m - identity).max(initial=0)

    def unfinished(carry: Any) -> jax.Array:
        step, m, _, last = carry
        now = error(m)
        return (step < max_steps) & (now > tolerance) & (now < last)

    def improve(carry: Any) -> Any:
        step, m, h, _ = carry
        t = ((1 + p) * identity - m) / p
        return step + 1, jnp.linalg.matrix_power(t, p) @ m, h @ t, error(m)

    infinity = jnp.array(jnp.inf, wide.dtype)
    start = (0, z * damped, z ** (1 / p) * identity, infinity)
    with jax.default_matmul_precision("highest"):
        return jax.lax.while_loop(unfinished, improve, start)[2].astype(matrix.dtype)
