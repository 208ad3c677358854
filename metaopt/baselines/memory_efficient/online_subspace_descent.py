"""Online Subspace Descent, GaLore whose subspace is learned instead of decomposed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.averaged_adam import scale_by_debiasing, scale_by_moments
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.subspaces import (
    lifted,
    projected,
    require_rank,
    singular_basis,
    tall,
    zero_basis,
)


class OnlineSubspaceState(NamedTuple):
    """State of `in_learned_subspace`.

    Attributes:
      count: int32 (), steps taken.
      basis: P, (n, rank) for each matrix of shape (m, n).
      learner: state of the optimizer of P.
      inner: the inner transformation's state, over matrices of shape (m, rank).
    """

    count: Any
    basis: optax.Updates
    learner: optax.OptState
    inner: optax.OptState


def in_learned_subspace(
    inner: optax.GradientTransformation, learner: optax.GradientTransformation, rank: int
) -> optax.GradientTransformationExtraArgs:
    """A transformation of gradients that are projected onto a subspace which follows them.

    Args:
      inner: sees G P, (m, rank) for each matrix of shape (m, n), m >= n.
      learner: the optimizer of P.
      rank: dimensions of the subspace.
    """

    def init(params: optax.Params) -> OnlineSubspaceState:
        basis = jax.tree.map(lambda w: zero_basis(w, rank), params)
        low = projected(params, basis)
        zero = jnp.zeros((), jnp.int32)
        return OnlineSubspaceState(zero, basis, learner.init(basis), inner.init(low))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, OnlineSubspaceState]:
        del params, extra_args

        def first() -> Any:
            return jax.tree.map(lambda g: singular_basis(g, rank), updates), (
                state.basis,
                state.learner,
            )

        def later() -> Any:
            gradients = jax.tree.map(jax.grad(reconstruction_error), state.basis, updates)
            return state.basis, learner.update(gradients, state.learner, state.basis)

        # The basis of this step, and how it then moves: at first not at all, from zero.
        basis, (steps, learned) = jax.lax.cond(state.count == 0, first, later)
        low, after = inner.update(projected(updates, basis), state.inner)
        count = optax.safe_increment(state.count)
        moved = optax.apply_updates(basis, steps)
        return lifted(low, basis), OnlineSubspaceState(count, moved, learned, after)

    return optax.GradientTransformationExtraArgs(init, update)


def reconstruction_error(basis: jax.Array, gradient: jax.Array) -> jax.Array:
    """||G P P^T - G||^2 of the gradient over its norm, which online PCA minimizes."""
    norm = jnp.linalg.norm(gradient)
    unit = gradient / jnp.where(norm > 0, norm, 1)
    return jnp.sum(jnp.square(unit @ basis @ basis.T - unit))


def online_subspace_descent(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    rank: int = 128,
    scale: float = 0.25,
    learner: optax.GradientTransformation | None = None,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Online Subspace Descent: the projection takes a step at each step, by online PCA.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        P = the leading `rank` right singular vectors of G, at the first step
        R = G P
        M <- b1 M + (1 - b1) R
        V <- b2 V + (1 - b2) R^2
        N = sqrt(1 - b2^t) / (1 - b1^t) M / (sqrt(V) + eps)
        W <- W - lr (scale N P^T + weight_decay W)
        P <- a step of `learner` on ||U P P^T - U||^2, U = G / ||G||, from the second step on

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the projected gradient's average.
      b2: decay of its square's average.
      eps: added to the denominator.
      rank: dimensions of the subspace; all there are where a matrix has fewer.
      scale: multiplies the learning rate of matrices.
      learner: the optimizer of P; default: AdamW at 1 / 200, with weight decay 0.01.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: rank is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = online_subspace_descent(1e-2, rank=2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liang et al., "Memory-Efficient LLM Training with Online Subspace Descent", 2024,
      arXiv:2408.12857; kyleliang919/Online-Subspace-Descent.

    Deviations:
      The learner's rate is constant; in the authors' code it follows the schedule of the learning
      rate. The paper's penalty of a P that is not orthonormal is left out, as in the authors' code.
    """
    require_rank(rank, "online_subspace_descent")
    direction = optax.chain(
        in_learned_subspace(
            scale_by_moments(b1, b2, eps),
            optax.adamw(1 / 200, weight_decay=0.01) if learner is None else learner,
            rank,
        ),
        scale_by_debiasing(b1, b2),
        optax.scale(scale),
    )
    return matrix_optimizer(
        learning_rate,
        direction,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=tall(matrix_axes),
    )


ROWS = (
    Baseline(
        id="online_subspace_descent",
        name="Online Subspace Descent",
        factory=online_subspace_descent,
        group="memory_efficient",
        title="Memory-Efficient LLM Training with Online Subspace Descent",
        authors="Liang et al.",
        year=2024,
        arxiv="2408.12857",
        needs=("params", "matrix_axes"),
        test={"rank": 2, "scale": 1.0, "weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * (3 * min(m, n) + 2 * max(m, n)),
        deviations=(
            "The learner's rate is constant; in the authors' code it follows the schedule of the "
            "learning rate. The paper's penalty of a P that is not orthonormal is left out, as in "
            "the authors' code."
        ),
        checked=("equations",),
    ),
)
