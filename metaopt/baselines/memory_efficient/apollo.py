"""APOLLO, which learns from a random projection how much Adam would lengthen each channel."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.memory_efficient.fira import growth_limiter, initial_norms, row_ratios
from metaopt.baselines.shared.averaged_adam import scale_by_debiasing, scale_by_moments
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.periods import require_period
from metaopt.baselines.shared.subspaces import projected, require_rank, tall

Projection = Callable[[jax.Array, jax.Array, tuple[int, int]], jax.Array]
"""(random key, int32 (), number of the period from 0, (n, rank)) -> standard normal numbers."""


def gaussian(key: jax.Array, period: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The default `Projection`: a new key for each period."""
    return jax.random.normal(jax.random.fold_in(key, period), shape)


class ApolloState(NamedTuple):
    """State of `scale_by_apollo`.

    Attributes:
      count: int32 (), steps taken.
      key: what projections are drawn from, anew at each step, instead of being stored.
      adam: of the projected gradients.
      norms: the norm of the last update of each matrix.
    """

    count: Any
    key: jax.Array
    adam: optax.OptState
    norms: optax.Updates


def scale_by_apollo(
    b1: float,
    b2: float,
    eps: float,
    *,
    rank: int,
    period: int,
    granularity: Literal["channel", "tensor"],
    limit_growth: bool,
    seed: int,
    projection: Projection,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `apollo`, before the correction of Adam's moments and without `scale`."""
    adam = scale_by_moments(b1, b2, eps)

    def bases(updates: optax.Updates, key: jax.Array, count: jax.Array) -> optax.Updates:
        leaves, treedef = jax.tree.flatten(updates)

        def draw(i: int, g: jax.Array) -> jax.Array:
            normal = projection(jax.random.fold_in(key, i), count // period, (g.shape[1], rank))
            return (normal / rank**0.5).astype(g.dtype)

        return jax.tree.unflatten(treedef, [draw(i, g) for i, g in enumerate(leaves)])

    def lengthening(step: jax.Array, gradient: jax.Array) -> jax.Array:
        if granularity == "channel":
            return row_ratios(step, gradient)
        return jnp.linalg.norm(step) / (jnp.linalg.norm(gradient) + 1e-8)

    def init(params: optax.Params) -> ApolloState:
        low = jax.tree.map(lambda w: jnp.zeros((w.shape[0], rank), w.dtype), params)
        key, count = jax.random.key(seed), jnp.zeros((), jnp.int32)
        return ApolloState(count, key, adam.init(low), initial_norms(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ApolloState]:
        del params, extra_args
        low = projected(updates, bases(updates, state.key, state.count))
        steps, after = adam.update(low, state.adam)
        scaled = jax.tree.map(lambda g, n, r: g * lengthening(n, r), updates, steps, low)
        if limit_growth:
            scaled = jax.tree.map(lambda u, norm: u / growth_limiter(u, norm), scaled, state.norms)
        norms = jax.tree.map(jnp.linalg.norm, scaled)
        count = optax.safe_increment(state.count)
        return scaled, ApolloState(count, state.key, after, norms)

    return optax.GradientTransformationExtraArgs(init, update)


def apollo(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    rank: int = 256,
    update_period: int = 200,
    scale: float = 1.0,
    granularity: Literal["channel", "tensor"] = "channel",
    limit_growth: bool = True,
    weight_decay: float = 0.0,
    seed: int = 0,
    projection: Projection = gaussian,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """APOLLO: approximated gradient scaling for memory-efficient optimization.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        P <- normal numbers / sqrt(rank), (n, rank), anew every `update_period` steps
        R = G P
        M <- b1 M + (1 - b1) R
        V <- b2 V + (1 - b2) R^2
        N = M / (sqrt(V) + eps)
        S_i = ||N_i|| / (||R_i|| + 1e-8) G_i        for each row i, or with norms of all rows
        S <- S / (max(1.01, ||S|| / (||previous S|| + 1e-8)) / 1.01)
        U = sqrt(scale) sqrt(1 - b2^t) / (1 - b1^t) S
        W <- W - lr (U + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the projected gradient's average.
      b2: decay of its square's average.
      eps: added to the denominator.
      rank: dimensions of the projection.
      update_period: steps from one projection to the next.
      scale: its root multiplies the learning rate of matrices.
      granularity: one factor for each row of a matrix, "channel", or for all of it, "tensor".
      limit_growth: whether S is divided by anything in the last equation but two.
      weight_decay: decoupled, multiplied by the learning rate.
      seed: of the projections.
      projection: what draws them, as `gaussian` does.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: rank or update_period is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = apollo(1e-2, rank=2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zhu et al., "APOLLO: SGD-like Memory, AdamW-level Performance", 2024, arXiv:2412.05270;
      zhuhanqing/APOLLO.

    Deviations:
      Projections are drawn again at each step rather than kept, as the paper counts its memory; the
      authors' code keeps them. An update of zeros does not limit the next one; with the authors'
      code updates then grow from 1e-8 by a hundredth each step.
    """
    require_rank(rank, "apollo")
    require_period(update_period, "apollo")
    direction = optax.chain(
        scale_by_apollo(
            b1,
            b2,
            eps,
            rank=rank,
            period=update_period,
            granularity=granularity,
            limit_growth=limit_growth,
            seed=seed,
            projection=projection,
        ),
        scale_by_debiasing(b1, b2),
        optax.scale(scale**0.5),
    )
    return matrix_optimizer(
        learning_rate,
        direction,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=tall(matrix_axes),
    )


def apollo_mini(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    update_period: int = 200,
    scale: float = 128.0,
    limit_growth: bool = True,
    weight_decay: float = 0.0,
    seed: int = 0,
    projection: Projection = gaussian,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """APOLLO-Mini: `apollo` with a projection onto one dimension and one factor for each matrix.

    For a gradient G of shape (m, n), m >= n; others are transposed for it:

        p <- n normal numbers, anew every `update_period` steps
        r = G p
        m <- b1 m + (1 - b1) r
        v <- b2 v + (1 - b2) r^2
        S = ||m / (sqrt(v) + eps)|| / (||r|| + 1e-8) G
        S <- S / (max(1.01, ||S|| / (||previous S|| + 1e-8)) / 1.01)
        U = sqrt(scale) sqrt(1 - b2^t) / (1 - b1^t) S
        W <- W - lr (U + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the projected gradient's average.
      b2: decay of its square's average.
      eps: added to the denominator.
      update_period: steps from one projection to the next.
      scale: its root multiplies the learning rate of matrices.
      limit_growth: whether S is divided by anything in the last equation but two.
      weight_decay: decoupled, multiplied by the learning rate.
      seed: of the projections.
      projection: what draws them, as `gaussian` does.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: update_period is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = apollo_mini(1e-2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zhu et al., "APOLLO: SGD-like Memory, AdamW-level Performance", 2024, arXiv:2412.05270;
      zhuhanqing/APOLLO.

    Deviations:
      Projections are drawn again at each step rather than kept, as the paper counts its memory; the
      authors' code keeps them. An update of zeros does not limit the next one; with the authors'
      code updates then grow from 1e-8 by a hundredth each step.
    """
    return apollo(
        learning_rate,
        b1,
        b2,
        eps,
        rank=1,
        update_period=update_period,
        scale=scale,
        granularity="tensor",
        limit_growth=limit_growth,
        weight_decay=weight_decay,
        seed=seed,
        projection=projection,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


_DRAWN_AGAIN = (
    "Projections are drawn again at each step rather than kept, as the paper counts its memory; "
    "the authors' code keeps them. An update of zeros does not limit the next one; with the "
    "authors' code updates then grow from 1e-8 by a hundredth each step."
)

ROWS = (
    Baseline(
        id="apollo",
        name="APOLLO",
        factory=apollo,
        group="memory_efficient",
        title="APOLLO: SGD-like Memory, AdamW-level Performance",
        authors="Zhu et al.",
        year=2024,
        arxiv="2412.05270",
        needs=("params", "seed", "matrix_axes"),
        test={"rank": 2, "update_period": 2, "weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * 2 * max(m, n),
        deviations=_DRAWN_AGAIN,
        checked=("apollo_torch 1.0.3",),
    ),
    Baseline(
        id="apollo_mini",
        name="APOLLO-Mini",
        factory=apollo_mini,
        group="memory_efficient",
        title="APOLLO: SGD-like Memory, AdamW-level Performance",
        authors="Zhu et al.",
        year=2024,
        arxiv="2412.05270",
        needs=("params", "seed", "matrix_axes"),
        test={"update_period": 2, "weight_decay": 0.02},
        test_rate=0.003,
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * max(m, n),
        deviations=_DRAWN_AGAIN,
        checked=("apollo_torch 1.0.3",),
    ),
)
