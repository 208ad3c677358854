"""AdamWR: AdamW with warm restarts, and a weight decay that fits the period."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import progress
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at


class AdamWRState(NamedTuple):
    """State of `adamwr`.

    Attributes:
      count: int32 (), steps taken.
      adam: of `optax.scale_by_adam`.
    """

    count: Any
    adam: optax.OptState


def adamwr(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    num_steps: int,
    restarts: int = 2,
    multiplier: int = 2,
    weight_decay: float = 0.025,
) -> optax.GradientTransformationExtraArgs:
    """AdamW whose steps shrink along a cosine and start again, in ever longer periods.

    With T the length of the period that step t is in, and T_cur the steps of it that are over:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        eta = (1 + cos(pi T_cur / T)) / 2
        lambda = weight_decay / sqrt(T)
        w <- w - eta (lr m_hat / (sqrt(v_hat) + eps) + lambda w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      num_steps: length of the training, at which the last period ends; then steps are zero.
      restarts: number of periods less one.
      multiplier: length of a period over that of the one before.
      weight_decay: normalized: it is over the root of the period and not times the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: multiplier is less than 1, restarts is negative, or a period has no step.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamwr(1e-3, num_steps=700)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2017, arXiv:1711.05101;
      loshchil/AdamW-and-SGDW.

    Deviations:
      Given the number of restarts, the first period is as long as makes the last end the training.
    """
    if multiplier < 1 or restarts < 0:
        raise ValueError(
            f"adamwr needs multiplier >= 1 and restarts >= 0, not {multiplier} and {restarts}"
        )
    relative = np.cumsum(float(multiplier) ** np.arange(restarts + 1))
    ends = np.rint(num_steps * relative / relative[-1]).astype(np.int32)
    lengths = np.diff(ends, prepend=0)
    if lengths.min() < 1:
        raise ValueError(
            f"adamwr cannot restart {restarts} times in {num_steps} steps: use fewer restarts"
        )
    adam = optax.scale_by_adam(b1, b2, eps)

    def init(params: optax.Params) -> AdamWRState:
        return AdamWRState(jnp.zeros((), jnp.int32), adam.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdamWRState]:
        del extra_args
        params = require_params(params, "adamwr")
        directions, of_adam = adam.update(updates, state.adam)
        period = jnp.searchsorted(ends[:-1], state.count, side="right")
        length = jnp.asarray(lengths)[period]
        start = jnp.asarray(ends)[period] - length
        eta = (1 + jnp.cos(jnp.pi * progress(state.count - start, length))) / 2
        decay = weight_decay * length**-0.5
        rate = rate_at(learning_rate, state.count)

        def step(w: jax.Array, direction: jax.Array) -> jax.Array:
            return (-eta * (rate * direction + decay * w)).astype(w.dtype)

        count = optax.safe_increment(state.count)
        return jax.tree.map(step, params, directions), AdamWRState(count, of_adam)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="adamwr",
        name="AdamWR",
        factory=adamwr,
        group="schedule",
        title="Decoupled Weight Decay Regularization",
        authors="Loshchilov, Hutter",
        year=2017,
        arxiv="1711.05101",
        needs=("params", "num_steps"),
        test={"restarts": 1},
        test_rate=0.03,
        tuning=tuned(0.3, weight_decay=(1e-3, 1.0)),
        deviations=(
            "An optimizer, not a schedule: the weight decay depends on the period too. Given the "
            "number of restarts, the first period is as long as makes the last end the training."
        ),
        checked=("equations",),
    ),
)
