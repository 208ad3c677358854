"""Shampoo, which preconditions every axis of an array with a matrix."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.axes import along, gram, scaled_along, square_sums
from metaopt.baselines.shared.inverse_root import inverse_root
from metaopt.baselines.shared.periods import every, require_period
from metaopt.baselines.shared.trees import on_leaves, unzipped


class ShampooState(NamedTuple):
    """State of `scale_by_shampoo`.

    Attributes:
      count: int32 (), steps taken.
      statistics: for each parameter a tuple with H_i of each axis: (n, n), or its diagonal (n,) of
        axes longer than `max_size`.
      roots: their inverse roots, of the same shapes; None with period 1, which keeps none.
    """

    count: Any
    statistics: Any
    roots: Any


def scale_by_shampoo(
    *, eps: float = 1e-4, period: int = 1, max_size: int = 1200
) -> optax.GradientTransformationExtraArgs:
    """The direction of `shampoo`, whose arguments these are."""
    require_period(period, "shampoo")

    def init(params: optax.Params) -> ShampooState:
        statistics = jax.tree.map(initial, params)
        roots = None if period == 1 else jax.tree.map(initial, params)
        return ShampooState(jnp.zeros((), jnp.int32), statistics, roots)

    def initial(w: jax.Array) -> tuple[jax.Array, ...]:
        # A scalar counts as a vector of one; nothing to precondition, no preconditioner.
        sizes = (w.shape or (1,)) if w.size else ()
        return tuple(
            eps * (jnp.eye(n, dtype=w.dtype) if n <= max_size else jnp.ones(n, w.dtype))
            for n in sizes
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ShampooState]:
        del params, extra_args

        def step(g: jax.Array, statistics: Any, roots: Any) -> tuple[Any, ...]:
            tensor = jnp.atleast_1d(g)
            statistics = tuple(h + _statistic(tensor, i, h) for i, h in enumerate(statistics))
            order = len(statistics)
            roots = every(
                period,
                state.count,
                lambda: tuple(_root(h, 2 * order) for h in statistics),
                roots,
            )
            for i, root in enumerate(roots):
                tensor = along(tensor, i, root) if root.ndim == 2 else scaled_along(tensor, i, root)
            return tensor.reshape(g.shape), statistics, roots

        kept = state.statistics if period == 1 else state.roots
        stepped = jax.tree.map(step, updates, state.statistics, kept)
        directions, statistics, roots = unzipped(updates, stepped, 3)
        count = optax.safe_increment(state.count)
        return directions, ShampooState(count, statistics, None if period == 1 else roots)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def shampoo(
    learning_rate: optax.ScalarOrSchedule,
    *,
    eps: float = 1e-4,
    period: int = 1,
    max_size: int = 1200,
) -> optax.GradientTransformationExtraArgs:
    """Shampoo: an AdaGrad whose preconditioner is a Kronecker product, a factor for each axis.

    For a matrix, with L = R = eps I at the start:

        L <- L + G G^T
        R <- R + G^T G
        W <- W - lr L^{-1/4} G R^{-1/4}

    and for an array of k axes, with G_(i) the gradient matricized along axis i:

        H_i <- H_i + G_(i) G_(i)^T
        W <- W - lr G x_1 H_1^{-1/2k} ... x_k H_k^{-1/2k}

    Every axis counts as it is in the array, whatever the layout; vectors have the full matrix of
    AdaGrad, a scalar its single number.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      eps: times the identity, what the statistics start at.
      period: steps from one computation of the roots to the next, the first step's among them.
      max_size: axes longer than this keep the diagonal of H_i alone, as in the paper's experiments.

    Returns:
      The transformation.

    Raises:
      ValueError: the period is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = shampoo(0.1)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Gupta, Koren and Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization", 2018,
      arXiv:1802.09568.
    """
    return optax.with_extra_args_support(
        optax.chain(
            scale_by_shampoo(eps=eps, period=period, max_size=max_size),
            optax.scale_by_learning_rate(learning_rate),
        )
    )


def _statistic(tensor: jax.Array, axis: int, like: jax.Array) -> jax.Array:
    return gram(tensor, axis) if like.ndim == 2 else square_sums(tensor, axis)


def _root(h: jax.Array, p: int) -> jax.Array:
    return inverse_root(h, p) if h.ndim == 2 else (h ** (-1 / p)).astype(h.dtype)


ROWS = (
    Baseline(
        id="shampoo",
        name="Shampoo",
        factory=shampoo,
        group="matrix_preconditioned",
        title="Shampoo: Preconditioned Stochastic Tensor Optimization",
        authors="Gupta, Koren, Singer",
        year=2018,
        arxiv="1802.09568",
        test={"eps": 0.01, "period": 2, "max_size": 5},
        test_rate=0.3,
        tuning=tuned(3.0),
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
