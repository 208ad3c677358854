"""One matrix for each axis of an array, as Shampoo and its descendants have them.

Source: Gupta et al., "Shampoo", 2018, arXiv:1802.09568, section 2: contraction and matricization.
"""

import jax
import jax.numpy as jnp


def gram(x: jax.Array, axis: int) -> jax.Array:
    """X X^T of an array that is matricized along one axis; G G^T and G^T G of a matrix.

    Args:
      x: (n_1, ..., n_k).
      axis: one of its axes.

    Returns:
      (n_axis, n_axis).
    """
    others = [i for i in range(x.ndim) if i != axis]
    return jnp.tensordot(x, x, (others, others))


def square_sums(x: jax.Array, axis: int) -> jax.Array:
    """The diagonal of `gram`, (n_axis,)."""
    return jnp.sum(x * x, axis=[i for i in range(x.ndim) if i != axis])


def along(x: jax.Array, axis: int, matrix: jax.Array) -> jax.Array:
    """A matrix applied to every vector along one axis; L G and G R^T of a matrix.

    Args:
      x: (n_1, ..., n_k).
      axis: one of its axes.
      matrix: (m, n_axis).

    Returns:
      The array with size m in place of n_axis.
    """
    return jnp.moveaxis(jnp.tensordot(matrix, x, ((1,), (axis,))), 0, axis)


def scaled_along(x: jax.Array, axis: int, factors: jax.Array) -> jax.Array:
    """A diagonal matrix applied along one axis.

    Args:
      x: (n_1, ..., n_k).
      axis: one of its axes.
      factors: (n_axis,), the diagonal.
    """
    return x * jnp.expand_dims(factors, [i for i in range(x.ndim) if i != axis])
