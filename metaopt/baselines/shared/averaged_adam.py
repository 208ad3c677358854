"""Adam's step for methods that build on it: with other squares, or without its correction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.roles import Role, RolesOf

SquaresOf = Callable[[optax.Updates], optax.Updates]
"""gradients -> what v averages: a tree of arrays that broadcast against the gradients."""

AveragedOf = Callable[[Role, MatrixAxes | None, jax.Array], tuple[int, ...]]
"""(role, matrix axes, parameter) -> the axes that its squares are averaged over."""


class MomentsState(NamedTuple):
    """State of `scale_by_moments`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters.
      v: moving average of squares.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def elementwise_squares(updates: optax.Updates) -> optax.Updates:
    """Adam's own: a square for each parameter."""
    return jax.tree.map(jnp.square, updates)


def scale_by_moments(
    b1: float,
    b2: float,
    eps: float,
    *,
    squares: SquaresOf = elementwise_squares,
    debias: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam with other squares than those of each parameter, or without bias correction.

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) squares(g)
        direction = m / (sqrt(v) + eps)

    Args:
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      squares: of the gradients.
      debias: whether m and v are divided by 1 - b^t in the last equation.
    """

    def init(params: optax.Params) -> MomentsState:
        zeros = optax.tree.zeros_like(params)
        v = optax.tree.zeros_like(squares(zeros))
        return MomentsState(jnp.zeros((), jnp.int32), zeros, v)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MomentsState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(squares(updates), state.v, b2, 1)
        m, v = optax.tree.cast_like(m, state.m), optax.tree.cast_like(v, state.v)
        after = MomentsState(count, m, v)
        if debias:
            m = optax.tree.bias_correction(m, b1, count)
            v = optax.tree.bias_correction(v, b2, count)
        return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), m, v), after

    return optax.GradientTransformationExtraArgs(init, update)


def scale_by_debiasing(b1: float, b2: float) -> optax.GradientTransformation:
    """Adam's correction of both moments at once: sqrt(1 - b2^t) / (1 - b1^t) at the step t.

    After `scale_by_moments` that is Adam as at the end of section 2 of its paper, with an eps that
    is not divided by sqrt(1 - b2^t): as methods of low rank have it, from an early AdamW of Hugging
    Face.
    """
    return optax.scale_by_schedule(lambda count: debiasing(b1, b2, count + 1))


def adamw_of_averages(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float,
    eps: float,
    *,
    averaged: AveragedOf,
    weight_decay: float,
    roles: RolesOf,
    matrix_axes: AxesOf,
) -> optax.GradientTransformationExtraArgs:
    """AdamW whose squares are averaged over some axes of each parameter.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      averaged: over which axes, for each parameter.
      weight_decay: decoupled, multiplied by the learning rate; not of vectors and normalizations.
      roles: parameters -> what each is.
      matrix_axes: parameters -> which axes of each are rows and columns.
    """

    def squares(updates: optax.Updates) -> optax.Updates:
        leaves, treedef = jax.tree.flatten(updates)
        known = map(treedef.flatten_up_to, (roles(updates), matrix_axes(updates)))
        means = [
            jnp.mean(jnp.square(g), averaged(role, axes, g), keepdims=True)
            for role, axes, g in zip(*known, leaves, strict=True)
        ]
        return jax.tree.unflatten(treedef, means)

    def decayed(params: optax.Params) -> Any:
        return jax.tree.map(lambda role: role not in ("norm", "vector"), roles(params))

    return optax.chain(
        scale_by_moments(b1, b2, eps, squares=squares, debias=True),
        optax.add_decayed_weights(weight_decay, mask=decayed),
        optax.scale_by_learning_rate(learning_rate),
    )
