"""Adan, which estimates Nesterov momentum from differences of gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class AdanState(NamedTuple):
    """State of `adan`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like n and v, a tree like the parameters.
      n: moving average of differences of gradients.
      v: moving average of the squared Nesterov gradient.
      previous: the last gradient.
    """

    count: Any
    m: optax.Updates
    n: optax.Updates
    v: optax.Updates
    previous: optax.Updates


def adan(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Adan: Nesterov momentum that needs no gradient at an extrapolated point.

    With hats for division by 1 - b^t, and d = 0 at the first step:

        d = g - previous g
        m <- b1 m + (1 - b1) g
        n <- b2 n + (1 - b2) d
        v <- b3 v + (1 - b3) (g + b2 d)^2
        w <- (w - lr (m_hat + b2 n_hat) / (sqrt(v_hat) + eps)) / (1 + lr weight_decay)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average. With b2 and b3: 1 minus the betas of the paper, which
        weigh what is new; the authors' code has them as here.
      b2: decay of the average of differences.
      b3: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: proximal, as the last equation says.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adan(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Xie et al., "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models",
      2022, arXiv:2208.06677; sail-sg/Adan.
    """

    def init(params: optax.Params) -> AdanState:
        return AdanState(jnp.zeros((), jnp.int32), *zeros_like(params, 4))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdanState]:
        del extra_args
        params = require_params(params, "adan")
        first = state.count == 0
        count = optax.safe_increment(state.count)
        rate = rate_at(learning_rate, state.count)
        d = jax.tree.map(lambda g, p: jnp.where(first, 0, g - p), updates, state.previous)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        n = optax.tree.update_moment(d, state.n, b2, 1)
        nesterov = jax.tree.map(lambda g, d: g + b2 * d, updates, d)
        v = optax.tree.update_moment(nesterov, state.v, b3, 2)
        m_hat, n_hat, v_hat = (
            optax.tree.bias_correction(moment, decay, count)
            for moment, decay in ((m, b1), (n, b2), (v, b3))
        )

        def step(w: jax.Array, m: jax.Array, n: jax.Array, v: jax.Array) -> jax.Array:
            ahead = w - rate * (m + b2 * n) / (jnp.sqrt(v) + eps)
            return (ahead / (1 + rate * weight_decay) - w).astype(w.dtype)

        return (
            jax.tree.map(step, params, m_hat, n_hat, v_hat),
            AdanState(count, m, n, v, optax.tree.cast_like(updates, state.previous)),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="adan",
        name="Adan",
        factory=adan,
        group="adaptive",
        title="Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models",
        authors="Xie et al.",
        year=2022,
        arxiv="2208.06677",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("optimi 0.3.3", "pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
