"""AdaGC, which clips each array's gradient by the norms it has had."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import scalar_dtype


class ClipByAverageNormState(NamedTuple):
    """State of `clip_by_average_norm`.

    Attributes:
      count: int32 (), steps taken.
      norm: average norm of the clipped gradients, () for every array.
    """

    count: Any
    norm: Any


def clip_by_average_norm(
    absolute: float = 1.0,
    relative: float = 1.05,
    *,
    beta: float = 0.98,
    warmup_steps: int = 100,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """The clipping of `adagc`."""
    if warmup_steps < 2:
        raise ValueError(
            f"warmup_steps is {warmup_steps}; the first step gives AdaGC its norms: choose 2 or "
            "more, for a warm-up of one step or more"
        )

    def init(params: optax.Params) -> ClipByAverageNormState:
        unknown = jax.tree.map(lambda w: jnp.full((), jnp.inf, scalar_dtype(w)), params)
        return ClipByAverageNormState(jnp.zeros((), jnp.int32), unknown)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ClipByAverageNormState]:
        del params, extra_args
        t: Any = optax.safe_increment(state.count)
        warm = t < warmup_steps
        squares = jax.tree.map(lambda g: jnp.sum(g.astype(scalar_dtype(g)) ** 2), updates)
        norms = jax.tree.map(jnp.sqrt, squares)
        together = jnp.sqrt(jax.tree.reduce(jnp.add, squares, 0.0))
        globally = jnp.minimum(absolute / (together + eps), 1)

        def factor(norm: jax.Array, average: jax.Array) -> jax.Array:
            limit = relative * average
            locally = jnp.where(norm > limit, limit / norm, 1)
            return jnp.where(warm, globally, locally)

        def averaged(norm: jax.Array, average: jax.Array) -> jax.Array:
            later = beta * average + (1 - beta) * norm
            least = jnp.where(norm > 0, jnp.minimum(average, norm), average)
            return jnp.where(warm | jnp.isinf(average), least, later).astype(average.dtype)

        factors = jax.tree.map(factor, norms, state.norm)
        clipped = jax.tree.map(lambda g, h: (h * g).astype(g.dtype), updates, factors)
        average = jax.tree.map(averaged, optax.tree.mul(factors, norms), state.norm)
        return clipped, ClipByAverageNormState(t, average)

    return optax.GradientTransformationExtraArgs(init, update)


def adagc(
    inner: optax.GradientTransformation,
    absolute: float = 1.0,
    relative: float = 1.05,
    *,
    beta: float = 0.98,
    warmup_steps: int = 100,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """AdaGC: an optimizer on gradients that are clipped array by array, by their own past.

    With |G| over all parameters together, |g| and n of each array, from n = inf:

        t < warmup_steps:  g <- g min(1, absolute / (|G| + eps))
                           n <- min(n, |g|)
        then:              g <- g min(1, relative n / |g|)
                           n <- beta n + (1 - beta) |g|
        w <- inner's step for g

    Args:
      inner: the optimizer of the clipped gradients.
      absolute: threshold of the global norm during the warm-up.
      relative: threshold of an array's norm, relative to its average; above 1.
      beta: decay of the average of norms.
      warmup_steps: the first step, counted from 1, of clipping array by array. An array without a
        gradient before it has none after it.
      eps: added to the global norm.

    Returns:
      The transformation.

    Raises:
      ValueError: there is no warm-up.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adagc(optax.sgd(0.1))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Wang et al., "AdaGC: Improving Training Stability for Large Language Model Pretraining", 2025,
      arXiv:2502.11034; PaddlePaddle/ERNIE.

    Deviations:
      During the warm-up the least norm is that of the clipped gradients, as in the paper; the
      authors' code takes that of the unclipped. Norms of zero are left out of it, since an array
      would then never move again; where there was none but these, n is the first one after them.
    """
    clip = clip_by_average_norm(absolute, relative, beta=beta, warmup_steps=warmup_steps, eps=eps)
    return optax.chain(clip, optax.with_extra_args_support(inner))


ROWS = (
    Baseline(
        id="adagc",
        name="AdaGC",
        factory=adagc,
        kind="wrapper",
        group="clipping",
        title="AdaGC: Improving Training Stability for Large Language Model Pretraining",
        authors="Wang et al.",
        year=2025,
        arxiv="2502.11034",
        test={"warmup_steps": 3},
        tuning=tuned(0.3),
        deviations="During the warm-up the least norm is that of the clipped gradients, as in the "
        "paper; the authors' code takes that of the unclipped. Norms of zero are left out of it, "
        "since an array would then never move again; where there was none but these, n is the "
        "first one after them.",
        checked=("pytorch_optimizer 4.1.0", "zij 0.1.1"),
    ),
)
