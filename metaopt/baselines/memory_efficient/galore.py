"""GaLore, Adam in the subspace of the gradient's leading singular vectors."""

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


class GaLoreState(NamedTuple):
    """State of `in_subspace`.

    Attributes:
      count: int32 (), steps taken.
      basis: P, (n, rank) for each matrix of shape (m, n).
      inner: the inner transformation's state, over matrices of shape (m, rank).
    """

    count: Any
    basis: optax.Updates
    inner: optax.OptState


def in_subspace(
    inner: optax.GradientTransformation, rank: int, period: int, decomposition: Decomposition
) -> optax.GradientTransformationExtraArgs:
    """A transformation of gradients that are projected onto a subspace of their own.

    Args:
      inner: sees G P, (m, rank) for each matrix of shape (m, n), m >= n.
      rank: dimensions of the subspace.
      period: steps from one decomposition to the next.
      decomposition: what finds P.
    """

    def init(params: optax.Params) -> GaLoreState:
        basis = jax.tree.map(lambda w: zero_basis(w, rank), params)
        low = projected(params, basis)
        return GaLoreState(jnp.zeros((), jnp.int32), basis, inner.init(low))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, GaLoreState]:
        del params, extra_args
        basis = every(
            period,
            state.count,
            lambda: jax.tree.map(lambda g: decomposition(g, rank), updates),
            state.basis,
        )
        low, after = inner.update(projected(updates, basis), state.inner)
        count = optax.safe_increment(state.count)
        return lifted(low, basis), GaLoreState(count, basis, after)

    return optax.GradientTransformationExtraArgs(init, update)


def galore(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    rank: int = 128,
    update_period: int = 200,
    scale: float = 0.25,
    weight_decay: float = 0.0,
    decomposition: Decomposition = singular_basis,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """GaLore: gradient low-rank projection.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        P <- the leading `rank` right singular vectors of G, every `update_period` steps
        R = G P
        M <- b1 M + (1 - b1) R
        V <- b2 V + (1 - b2) R^2
        N = sqrt(1 - b2^t) / (1 - b1^t) M / (sqrt(V) + eps)
        W <- W - lr (scale N P^T + weight_decay W)

    M and V are kept as they are when P changes.

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
      >>> optimizer = galore(1e-2, rank=2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zhao et al., "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection", 2024,
      arXiv:2403.03507; jiaweizzhao/GaLore.

    Deviations:
      Weights decay before the step, as in AdamW, where the authors' code lets them decay after it.
    """
    require_rank(rank, "galore")
    require_period(update_period, "galore")
    direction = optax.chain(
        in_subspace(scale_by_moments(b1, b2, eps), rank, update_period, decomposition),
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
        id="galore",
        name="GaLore",
        factory=galore,
        group="memory_efficient",
        title="GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection",
        authors="Zhao et al.",
        year=2024,
        arxiv="2403.03507",
        needs=("params", "matrix_axes"),
        test={"rank": 2, "update_period": 2, "scale": 1.0, "weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * (min(m, n) + 2 * max(m, n)),
        deviations=(
            "Weights decay before the step, as in AdamW, where the authors' code lets them decay "
            "after it."
        ),
        checked=("galore_torch 1.0", "zij 0.1.1"),
    ),
)
