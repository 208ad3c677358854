"""Weights brought back to a set after each step, with a singular vector kept from step to step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.matrices import AxesOf, on_matrices
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.orthogonalization import widened
from metaopt.baselines.shared.trees import unzipped

Project = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(W of shape (m, n), u of shape (m,)) -> W projected, and u brought up to date."""


class ProjectionState(NamedTuple):
    """State of `project_weights`.

    Attributes:
      u: of each matrix, its left singular vector as far as it is known, (m,).
    """

    u: optax.Params


def project_after(
    inner: optax.GradientTransformation, project: Project, matrix_axes: AxesOf, method: str
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with matrices projected after each step: W <- P(W + inner's update).

    Args:
      inner: the optimizer.
      project: P.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.
      method: the name for an error if there are no parameters.
    """
    projection = on_matrices(project_weights(project, method), optax.identity(), matrix_axes)
    return optax.with_extra_args_support(optax.chain(inner, projection))


def project_weights(project: Project, method: str) -> optax.GradientTransformation:
    """What follows an optimizer of matrices in a chain, to make W + update a projected matrix."""

    def start(w: jax.Array) -> jax.Array:
        u = jax.random.normal(jax.random.key(0), w.shape[:1], widened(w).dtype)
        return u / jnp.linalg.norm(u)

    def init(params: optax.Params) -> ProjectionState:
        return ProjectionState(jax.tree.map(start, params))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ProjectionState]:
        params = require_params(params, method)

        def step(update: jax.Array, w: jax.Array, u: jax.Array) -> Any:
            new, u = project(widened(w) + update, u)
            return (new - w).astype(w.dtype), u

        steps = jax.tree.map(step, updates, params, state.u)
        updates, u = unzipped(params, steps, 2)
        return updates, ProjectionState(u)

    return optax.GradientTransformation(init, update)
