"""Subset-Norm and Subspace-Momentum, which make Adam's second and first moment small."""

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


def row_sums_of_squares(updates: optax.Updates) -> optax.Updates:
    """(m, n) -> (m, 1)."""
    return jax.tree.map(lambda g: jnp.sum(jnp.square(g), 1, keepdims=True), updates)


def subset_norm(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Adam with Subset-Norm: one step size for each row, from the norm of its gradient.

    For a gradient G of shape (m, n), m >= n; others are transposed for it. For each row i:

        M <- b1 M + (1 - b1) G
        v_i <- b2 v_i + (1 - b2) ||G_i||^2
        U_i = sqrt(1 - b2^t) / (1 - b1^t) M_i / (sqrt(v_i) + eps)
        W <- W - lr (U + weight_decay W)

    Rates are about sqrt(n) times those of Adam, as v sums n squares.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared norms' average.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = subset_norm(1e-2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Nguyen and Nguyen, "Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum:
      Fast, Memory-Reduced Training with Convergence Guarantees", 2024, arXiv:2411.07120;
      timmytonga/sn-sm.

    Deviations:
      Subsets are the rows along the longer side, the heuristic that the paper recommends, and no
      other partition.
    """
    direction = optax.chain(
        scale_by_moments(b1, b2, eps, squares=row_sums_of_squares), scale_by_debiasing(b1, b2)
    )
    return matrix_optimizer(
        learning_rate,
        direction,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=tall(matrix_axes),
    )


class SubspaceMomentumState(NamedTuple):
    """State of `scale_by_subspace_momentum`.

    Attributes:
      count: int32 (), steps taken.
      basis: P, (n, rank) for each matrix of shape (m, n).
      m: moving average of the projected gradients, (m, rank).
    """

    count: Any
    basis: optax.Updates
    m: optax.Updates


def scale_by_subspace_momentum(
    b1: float, rank: int, period: int, decomposition: Decomposition
) -> optax.GradientTransformationExtraArgs:
    """The direction of `subspace_momentum`."""

    def init(params: optax.Params) -> SubspaceMomentumState:
        basis = jax.tree.map(lambda w: zero_basis(w, rank), params)
        low = optax.tree.zeros_like(projected(params, basis))
        return SubspaceMomentumState(jnp.zeros((), jnp.int32), basis, low)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SubspaceMomentumState]:
        del params, extra_args
        basis, m = every(
            period,
            state.count,
            lambda: (
                jax.tree.map(lambda g: decomposition(g, rank), updates),
                optax.tree.zeros_like(state.m),
            ),
            (state.basis, state.m),
        )
        low = projected(updates, basis)
        m = optax.tree.cast_like(optax.tree.update_moment(low, m, b1, 1), m)
        directions = jax.tree.map(
            lambda g, change: g + change, updates, lifted(optax.tree.sub(m, low), basis)
        )
        return directions, SubspaceMomentumState(optax.safe_increment(state.count), basis, m)

    return optax.GradientTransformationExtraArgs(init, update)


def subspace_momentum(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    *,
    rank: int = 128,
    update_period: int = 200,
    weight_decay: float = 0.0,
    decomposition: Decomposition = singular_basis,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """SGD with Subspace-Momentum: momentum in a subspace, and none in what is orthogonal to it.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        P <- the leading `rank` right singular vectors of G, and M <- 0, every `update_period` steps
        M <- b1 M + (1 - b1) G P
        W <- W - lr (M P^T + (G - G P P^T) + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the projected gradient's average.
      rank: dimensions of the subspace; all there are where a matrix has fewer.
      update_period: steps from one decomposition to the next.
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
      >>> optimizer = subspace_momentum(0.1, rank=2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Nguyen and Nguyen, "Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum:
      Fast, Memory-Reduced Training with Convergence Guarantees", 2024, arXiv:2411.07120;
      timmytonga/sn-sm.

    Deviations:
      The authors' code sets M to zero one step after P changes, and multiplies the rate by Adam's
      correction of moments even without a second moment. Here M and P change at once, and nothing
      is corrected, as in the paper.
    """
    require_rank(rank, "subspace_momentum")
    require_period(update_period, "subspace_momentum")
    return matrix_optimizer(
        learning_rate,
        scale_by_subspace_momentum(b1, rank, update_period, decomposition),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=tall(matrix_axes),
    )


_TITLE = (
    "Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced "
    "Training with Convergence Guarantees"
)

ROWS = (
    Baseline(
        id="subset_norm",
        name="Subset-Norm",
        factory=subset_norm,
        group="memory_efficient",
        title=_TITLE,
        authors="Nguyen, Nguyen",
        year=2024,
        arxiv="2411.07120",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + max(m, n)),
        deviations=(
            "Subsets are the rows along the longer side, the heuristic that the paper recommends, "
            "and no other partition."
        ),
        checked=("equations",),
    ),
    Baseline(
        id="subspace_momentum",
        name="Subspace-Momentum",
        factory=subspace_momentum,
        group="memory_efficient",
        title=_TITLE,
        authors="Nguyen, Nguyen",
        year=2024,
        arxiv="2411.07120",
        needs=("params", "matrix_axes"),
        test={"rank": 2, "update_period": 2, "weight_decay": 0.02},
        test_rate=0.1,
        tuning=tuned(3.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * (m + n),
        deviations=(
            "The authors' code sets M to zero one step after P changes, and multiplies the rate by "
            "Adam's correction of moments even without a second moment. Here M and P change at "
            "once, and nothing is corrected, as in the paper."
        ),
        checked=("equations",),
    ),
)
