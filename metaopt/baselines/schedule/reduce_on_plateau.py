"""Decay on plateau: a smaller learning rate once the loss stops falling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import require_steps
from metaopt.baselines.shared.needs import require_value
from metaopt.baselines.shared.sums import scalar_dtype


class PlateauState(NamedTuple):
    """State of `reduce_on_plateau`. Losses are float32, or float64 where a parameter is.

    Attributes:
      inner: of the inner optimizer.
      scale: (), what its updates are multiplied by.
      total: (), sum of the losses since the last comparison.
      count: int32 (), how many they are.
      best: (), the lowest mean loss so far.
      bad: int32 (), comparisons since then, or since the last reduction.
      resting: int32 (), comparisons until they count again.
    """

    inner: optax.OptState
    scale: Any
    total: Any
    count: Any
    best: Any
    bad: Any
    resting: Any


def reduce_on_plateau(
    inner: optax.GradientTransformation,
    factor: float = 0.1,
    patience: int = 5,
    *,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 20,
    min_scale: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Another optimizer, with smaller updates each time that the loss has stopped falling.

    Every accumulation_size steps, with L the mean of the losses of these steps:

        if L < best (1 - rtol) - atol:  best <- L, bad <- 0
        else:                           bad <- bad + 1
        if bad = patience:              scale <- max(factor scale, min_scale), bad <- 0
        updates <- scale updates

    Args:
      inner: the optimizer.
      factor: of each reduction.
      patience: comparisons without a better loss that lead to a reduction.
      rtol: how much lower than the best a loss is to count as better, relative to it.
      atol: likewise, absolute.
      cooldown: comparisons after a reduction that do not count as bad.
      accumulation_size: how many losses are compared at once; 1 for those of a validation set.
      min_scale: where reductions stop.

    Returns:
      The transformation. Its update needs the loss, `value`.

    Raises:
      ValueError: patience or accumulation_size is less than 1, or factor is not between 0 and 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = reduce_on_plateau(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params, value=jnp.float32(1))

    Reference:
      Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
      Networks", 2012, doi:10.1145/3065386, which does so by hand.

    Deviations:
      A wrapper, since it depends on losses. The rule is that of PyTorch and Optax, on means of
      training losses. Optax compares them in the parameters' dtype, which in bfloat16 hides
      improvements of less than half a percent; here they are float32.
    """
    require_steps(patience, "patience", "reduce_on_plateau")
    require_steps(accumulation_size, "accumulation_size", "reduce_on_plateau")
    if isinstance(factor, int | float) and not 0 < factor < 1:
        raise ValueError(f"factor of reduce_on_plateau is between 0 and 1, not {factor}")
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> PlateauState:
        dtype = scalar_dtype(params)
        total, best = jnp.zeros((), dtype), jnp.full((), jnp.inf, dtype)
        count, bad, resting = (jnp.zeros((), jnp.int32) for _ in range(3))
        return PlateauState(
            inner.init(params), jnp.ones((), dtype), total, count, best, bad, resting
        )

    def compare(state: Any) -> PlateauState:
        mean = state.total / accumulation_size
        better = mean < state.best * (1 - rtol) - atol
        idle = better | (state.resting > 0)
        bad = jnp.where(idle, 0, state.bad + 1)
        resting = jnp.maximum(state.resting - 1, 0)
        reduce = bad >= patience
        return state._replace(
            scale=jnp.where(reduce, jnp.maximum(factor * state.scale, min_scale), state.scale),
            total=jnp.zeros_like(state.total),
            count=jnp.zeros_like(state.count),
            best=jnp.where(better, mean, state.best),
            bad=jnp.where(reduce, 0, bad),
            resting=jnp.where(reduce, cooldown, resting),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        value: Any = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, PlateauState]:
        value = require_value(value, "reduce_on_plateau")
        updates, of_inner = inner.update(updates, state.inner, params, value=value, **extra_args)
        total = state.total + jnp.asarray(value, state.total.dtype)
        seen = state._replace(inner=of_inner, total=total, count=state.count + 1)
        full = seen.count == accumulation_size
        state = optax.tree.where(full, compare(seen), seen)
        updates = jax.tree.map(lambda u: (state.scale * u).astype(u.dtype), updates)
        return updates, state

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="reduce_on_plateau",
        name="Decay on plateau",
        factory=reduce_on_plateau,
        kind="wrapper",
        group="schedule",
        title="ImageNet Classification with Deep Convolutional Neural Networks",
        authors="Krizhevsky, Sutskever, Hinton",
        year=2012,
        link="doi.org/10.1145/3065386",
        needs=("value",),
        test={"patience": 2, "accumulation_size": 2, "cooldown": 1},
        tuning=tuned(0.3),
        deviations=(
            "A wrapper, since it depends on losses. The rule is that of PyTorch and Optax, on "
            "means of training losses. Optax compares them in the parameters' dtype, which in "
            "bfloat16 hides improvements of less than half a percent; here they are float32."
        ),
        checked=("equations",),
    ),
)
