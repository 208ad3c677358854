"""Matrices projected onto few dimensions, as methods keep their state small.

A gradient G of shape (m, n) with m >= n has a basis P of shape (n, r), and its projection R = G P
is (m, r). A matrix with more columns than rows is transposed for it, so that it is always the
shorter side that shrinks: `tall`.

Source: Zhao et al., "GaLore", 2024, arXiv:2403.03507; jiaweizzhao/GaLore.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes
from metaopt.baselines.shared.orthogonalization import widened

Decomposition = Callable[[jax.Array, int], jax.Array]
"""(gradient (m, n), rank) -> the basis of a subspace, (n, at most rank)."""


def tall(matrix_axes: AxesOf) -> AxesOf:
    """The same matrices, those transposed that have more columns than rows."""

    def turned(w: jax.Array, axes: MatrixAxes | None) -> MatrixAxes | None:
        if axes is None:
            return None
        rows, columns = (math.prod(w.shape[a] for a in part) for part in axes)
        return axes if rows >= columns else MatrixAxes(axes.columns, axes.rows)

    def axes(params: optax.Params) -> Any:
        leaves, treedef = jax.tree.flatten(params)
        given = treedef.flatten_up_to(matrix_axes(params))
        return jax.tree.unflatten(treedef, list(map(turned, leaves, given)))

    return axes


def zero_basis(w: jax.Array, rank: int) -> jax.Array:
    """The basis before the first step, (n, at most rank)."""
    return jnp.zeros((w.shape[1], min(rank, *w.shape)), w.dtype)


def singular_basis(g: jax.Array, rank: int) -> jax.Array:
    """The leading right singular vectors of g as columns, (n, at most rank)."""
    rows = jnp.linalg.svd(widened(g), full_matrices=False)[2][:rank]
    return rows.T.astype(g.dtype)


def projected(updates: optax.Updates, basis: optax.Updates) -> optax.Updates:
    """G P."""
    return jax.tree.map(lambda g, p: g @ p, updates, basis)


def lifted(low: optax.Updates, basis: optax.Updates) -> optax.Updates:
    """R P^T, in the space of the matrices again."""
    return jax.tree.map(lambda r, p: r @ p.T, low, basis)


def require_rank(rank: int, method: str) -> None:
    """Check the dimension of a subspace.

    Raises:
      ValueError: it is below 1.
    """
    if rank < 1:
        raise ValueError(f"{method}: the rank must be 1 or more, not {rank}")
