"""Tensors as matrices, and the directions that change all of a matrix's singular values alike."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.newton_schulz import newton_schulz


def matrix_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """The matrix nearest to a square that a tensor's axes, cut in two, make up; None: a vector.

    So kernels are what they multiply as, wherever the inputs are: (3, 3, 16, 32) and (32, 16, 3, 3)
    are 144 x 32 and 32 x 144, and attention's (64, 4, 16) is 64 x 64. Of equals the first.
    """
    cuts = [(math.prod(shape[:i]), math.prod(shape[i:])) for i in range(1, len(shape))]
    best = max(cuts, key=min, default=(1, 1))
    return best if min(best) > 1 else None


def orthogonal(stacks: Sequence[jax.Array]) -> list[jax.Array]:
    """The orthogonal factor of each tensor, as a matrix, by five steps of Newton and Schulz.

    Matrices of the same shape, or its transpose, are computed at once.

    Args:
      stacks: float32 (tensors, ...), none of them vectors (see `matrix_shape`).

    Returns:
      Stacks of the same shapes, sqrt(larger side) U V^T: root mean square 1 where none of a
      matrix's singular values is 0 (within a fifth: the steps are few); of zeros zeros.
    """
    found: list[jax.Array | None] = [None] * len(stacks)
    alike: dict[tuple[int, ...], list[int]] = {}
    wide = [jax.vmap(_wide)(x) for x in stacks]
    for i, x in enumerate(wide):
        alike.setdefault(x.shape[1:], []).append(i)
    for (_, larger), same in alike.items():
        factors = newton_schulz(jnp.concatenate([wide[i] for i in same])) * math.sqrt(larger)
        for i in same:
            ours, factors = jnp.split(factors, [len(stacks[i])])
            rows, columns = matrix_shape(stacks[i].shape[1:]) or (1, 1)
            ours = jnp.swapaxes(ours, 1, 2) if rows > columns else ours
            found[i] = ours.reshape(stacks[i].shape)
    return [x for x in found if x is not None]


def _wide(x: jax.Array) -> jax.Array:
    """A tensor as a matrix with no more rows than columns."""
    rows, columns = matrix_shape(x.shape) or (1, x.size)
    matrix = x.reshape(rows, columns)
    return matrix.T if rows > columns else matrix
