"""Fira, GaLore that also steps along what its subspace leaves out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.averaged_adam import scale_by_debiasing, scale_by_moments
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.periods import every, require_period
from metaopt.baselines.shared.subspaces import (
    Decomposition,
    lifted,
    projected,
    require_rank,
    singular_basis,
    tall,
    zero_basis,
)

GROWTH = 1.01
"""The most that a norm may grow by from one step to the next."""


class FiraState(NamedTuple):
    """State of `scale_by_fira`.

    Attributes:
      count: int32 (), steps taken.
      basis: P, (n, rank) for each matrix of shape (m, n).
      adam: of the projected gradients.
      norms: the norm of what was left out, as it was applied, for each matrix.
    """

    count: Any
    basis: optax.Updates
    adam: optax.OptState
    norms: optax.Updates


def scale_by_fira(
    b1: float, b2: float, eps: float, rank: int, period: int, decomposition: Decomposition
) -> optax.GradientTransformationExtraArgs:
    """The direction of `fira`, before the correction of Adam's moments."""
    adam = scale_by_moments(b1, b2, eps)

    def init(params: optax.Params) -> FiraState:
        basis = jax.tree.map(lambda w: zero_basis(w, rank), params)
        low = projected(params, basis)
        return FiraState(jnp.zeros((), jnp.int32), basis, adam.init(low), initial_norms(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, FiraState]:
        del params, extra_args
        basis = every(
            period,
            state.count,
            lambda: jax.tree.map(lambda g: decomposition(g, rank), updates),
            state.basis,
        )
        low = projected(updates, basis)
        steps, after = adam.update(low, state.adam)
        rest = jax.tree.map(
            lambda g, inside, n, r: (g - inside) * row_ratios(n, r),
            updates,
            lifted(low, basis),
            steps,
            low,
        )
        limiters = jax.tree.map(growth_limiter, rest, state.norms)
        rest = jax.tree.map(lambda u, limiter: u / limiter, rest, limiters)
        norms = jax.tree.map(jnp.linalg.norm, rest)
        directions = optax.tree.add(lifted(steps, basis), rest)
        count = optax.safe_increment(state.count)
        return directions, FiraState(count, basis, after, norms)

    return optax.GradientTransformationExtraArgs(init, update)


def row_ratios(step: jax.Array, gradient: jax.Array) -> jax.Array:
    """How much an optimizer lengthened each row: (m, r), (m, r) -> (m, 1)."""

    def norms(x: jax.Array) -> jax.Array:
        return jnp.linalg.norm(x, axis=1, keepdims=True)

    return norms(step) / (norms(gradient) + 1e-8)


def initial_norms(params: optax.Params) -> optax.Updates:
    """Norms before the first step: infinite, so that it is not limited."""
    return jax.tree.map(lambda w: jnp.full((), jnp.inf, w.dtype), params)


def growth_limiter(update: jax.Array, previous: jax.Array) -> jax.Array:
    """What an update is divided by so that its norm is at most 1.01 times the previous one.

    After an update of zeros it is not limited, as at the first step.
    """
    growth = jnp.maximum(jnp.linalg.norm(update) / (previous + 1e-8), GROWTH) / GROWTH
    return jnp.where(previous > 0, growth, 1).astype(growth.dtype)


def fira(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    rank: int = 128,
    update_period: int = 200,
    scale: float = 1.0,
    weight_decay: float = 0.0,
    decomposition: Decomposition = singular_basis,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Fira: full-rank training under a low-rank constraint.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        P <- the leading `rank` right singular vectors of G, every `update_period` steps
        R = G P
        M <- b1 M + (1 - b1) R
        V <- b2 V + (1 - b2) R^2
        N = M / (sqrt(V) + eps)
        S_i = ||N_i|| / (||R_i|| + 1e-8) (G - R P^T)_i        for each row i
        S <- S / (max(1.01, ||S|| / (||previous S|| + 1e-8)) / 1.01)
        U = sqrt(1 - b2^t) / (1 - b1^t) (N P^T + S)
        W <- W - lr (scale U + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the projected gradient's average.
      b2: decay of its square's average.
      eps: added to the denominator.
      rank: dimensions of the subspace; all there are where a matrix has fewer.
      update_period: steps from one decomposition to the next.
      scale: multiplies the learning rate of matrices.
      weight_decay: decoupled, multiplied by the learning rate.
      decomposition: what finds P in G and `rank`; default: a singular value decomposition.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: rank or update_period is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = fira(1e-2, rank=2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Chen et al., "Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?",
      2024, arXiv:2410.01623; xichen-fy/Fira.

    Deviations:
      `scale` multiplies the whole update, as alpha in the paper. In the authors' code it also
      multiplies R P^T where that is subtracted from G, which is the same at their default of 1.
      An S of zeros does not limit the next one; with the authors' code it then grows from 1e-8 by a
      hundredth each step.
    """
    require_rank(rank, "fira")
    require_period(update_period, "fira")
    direction = optax.chain(
        scale_by_fira(b1, b2, eps, rank, update_period, decomposition),
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
        id="fira",
        name="Fira",
        factory=fira,
        group="memory_efficient",
        title="Fira: Can We Achieve Full-rank Training of LLMs Under Low-rank Constraint?",
        authors="Chen et al.",
        year=2024,
        arxiv="2410.01623",
        needs=("params", "matrix_axes"),
        test={"rank": 2, "update_period": 2, "weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * (min(m, n) + 2 * max(m, n)),
        deviations=(
            "`scale` multiplies the whole update, as alpha in the paper. In the authors' code it "
            "also multiplies R P^T where that is subtracted from G, which is the same at their "
            "default of 1. An S of zeros does not limit the next one; with the authors' code it "
            "then grows from 1e-8 by a hundredth each step."
        ),
        checked=("zij 0.1.1",),
    ),
)
