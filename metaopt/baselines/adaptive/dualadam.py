"""DualAdam, which goes from multiplying by the root of the second moment to dividing by it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init, adam_moments

_TITLE = (
    "Combining Adam and its Inverse Counterpart to Enhance Generalization of Deep Learning "
    "Optimizers"
)


def scale_by_dualadam(
    b1: float, b2: float, eps: float, share: Callable[[jax.Array], Any]
) -> optax.GradientTransformationExtraArgs:
    """Rescale by a mixture of Adam and its inverse.

        d = sqrt(v_hat) + eps
        u = (1 - a_t) m_hat / d + a_t m_hat d

    Args:
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the root.
      share: the step t, counted from 1 -> a_t, the share of the inverse.
    """

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params, extra_args
        state, m_hat, v_hat = adam_moments(updates, state, b1, b2)
        a = share(state.count)

        def mixture(m: jax.Array, v: jax.Array) -> jax.Array:
            d = jnp.sqrt(v) + eps
            return ((1 - a) * m / d + a * m * d).astype(m.dtype)

        return jax.tree.map(mixture, m_hat, v_hat), state

    return optax.GradientTransformationExtraArgs(adam_init, update)


def dualadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    switch_rate: float = 0.01,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """DualAdam: begins as InvAdam, away from sharp minima, and becomes Adam within 1 / switch_rate.

    With hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        d = sqrt(v_hat) + eps
        a = 1 - switch_rate t, or 0 where that is below switch_rate
        w <- w - lr ((1 - a) m_hat / d + a m_hat d + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the root.
      switch_rate: by which the share of the inverse falls at every step.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dualadam(1e-3, switch_rate=0.01)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Shi et al., "Combining Adam and its Inverse Counterpart to Enhance Generalization of Deep
      Learning Optimizers", 2026, arXiv:2603.07122; LongJin-lab/DualAdam.
    """

    def share(step: jax.Array) -> jax.Array:
        inverse = 1 - step * switch_rate
        return jnp.where(inverse >= switch_rate, inverse, 0)

    return optax.chain(
        scale_by_dualadam(b1, b2, eps, share),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def invadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """InvAdam: Adam that multiplies by the root of the second moment, to leave sharp minima.

    With hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr m_hat (sqrt(v_hat) + eps)

    The paper gives it as one half of DualAdam: it need not converge on its own.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the root.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = invadam(1e-1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Shi et al., "Combining Adam and its Inverse Counterpart to Enhance Generalization of Deep
      Learning Optimizers", 2026, arXiv:2603.07122; LongJin-lab/DualAdam.
    """
    return optax.chain(
        scale_by_dualadam(b1, b2, eps, lambda step: 1.0),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="dualadam",
        name="DualAdam",
        factory=dualadam,
        group="adaptive",
        title=_TITLE,
        authors="Shi et al.",
        year=2026,
        arxiv="2603.07122",
        needs=("params",),
        test={"switch_rate": 0.3, "weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("pytorch_optimizer 4.1.0",),
    ),
    Baseline(
        id="invadam",
        name="InvAdam",
        factory=invadam,
        group="adaptive",
        title=_TITLE,
        authors="Shi et al.",
        year=2026,
        arxiv="2603.07122",
        test_rate=0.1,
        # Its steps are as small as the squares of gradients.
        tuning=tuned(100.0),
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
