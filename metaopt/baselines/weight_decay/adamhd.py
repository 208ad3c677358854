"""AdamHD: decay of a Huber penalty, which large weights feel no more than medium ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class AdamHdState(NamedTuple):
    """State of `adamhd`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v, a tree like the parameters.
      v: moving average of squares.
      delta: () for each parameter, from which size on the penalty is linear.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    delta: Any


def adamhd(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.1,
    delta: float | None = None,
    delta_decay: float = 0.99,
) -> optax.GradientTransformationExtraArgs:
    """AdamHD: Adam, then a proximal step of a Huber penalty.

    With hats for division by 1 - b^t, and the mean of each array, which delta starts at:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        delta <- delta_decay delta + (1 - delta_decay) mean(|w|)
        w <- w - lr m_hat / (sqrt(v_hat) + eps);  tau = lr weight_decay
        w <- w / (1 + tau)           if |w| <= (1 + tau) delta
             w - tau delta sign(w)   otherwise

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      delta: where the penalty turns from quadratic to linear; default: the average above.
      delta_decay: decay of that average.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamhd(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Guo and Fan, "AdamHD: Decoupled Huber Decay Regularization for Language Model Pre-Training",
      2025, arXiv:2511.14721.

    Deviations: the authors' code was not available. That delta averages the sizes of an array's
    weights is known; that it is their mean, the decay of 0.99, and where it starts could not be
    confirmed.
    """

    def init(params: optax.Params) -> AdamHdState:
        if delta is None:
            start = jax.tree.map(_mean_size, params)
        else:
            start = jax.tree.map(lambda w: jnp.asarray(delta, w.dtype), params)
        m, v = zeros_like(params, 2)
        return AdamHdState(jnp.zeros((), jnp.int32), m, v, start)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdamHdState]:
        del extra_args
        params = require_params(params, "adamhd")
        count = optax.safe_increment(state.count)
        rate = rate_at(learning_rate, state.count)
        tau = rate * weight_decay
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        m_hat = optax.tree.bias_correction(m, b1, count)
        v_hat = optax.tree.bias_correction(v, b2, count)
        threshold = state.delta
        if delta is None:
            threshold = jax.tree.map(
                lambda d, w: (delta_decay * d + (1 - delta_decay) * _mean_size(w)).astype(d.dtype),
                state.delta,
                params,
            )

        def step(w: jax.Array, m: jax.Array, v: jax.Array, d: jax.Array) -> jax.Array:
            ahead = w - rate * m / (jnp.sqrt(v) + eps)
            small = jnp.abs(ahead) <= (1 + tau) * d
            decayed = jnp.where(small, ahead / (1 + tau), ahead - tau * d * jnp.sign(ahead))
            return (decayed - w).astype(w.dtype)

        return (
            jax.tree.map(step, params, m_hat, v_hat, threshold),
            AdamHdState(count, m, v, threshold),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _mean_size(w: jax.Array) -> jax.Array:
    # Not jnp.mean, which of an empty array is NaN.
    return jnp.sum(jnp.abs(w)) / max(w.size, 1)


ROWS = (
    Baseline(
        id="adamhd",
        name="AdamHD",
        factory=adamhd,
        group="weight_decay",
        title="AdamHD: Decoupled Huber Decay Regularization for Language Model Pre-Training",
        authors="Guo, Fan",
        year=2025,
        arxiv="2511.14721",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "The authors' code was not available. That delta averages the sizes of an array's "
            "weights is known; that it is their mean, the decay of 0.99, and where it starts could "
            "not be confirmed."
        ),
        checked=("equations",),
    ),
)
