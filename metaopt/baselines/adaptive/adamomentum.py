"""AdaMomentum, whose second moment is that of the momentum."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init


def scale_by_adamomentum(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Rescale the momentum by its own second moment; see `adamomentum`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.mu, b1, 1)
        v = jax.tree.map(lambda m, v: b2 * v + (1 - b2) * m**2 + eps, m, state.nu)
        m_hat = optax.tree.bias_correction(m, b1, count)
        v_hat = optax.tree.bias_correction(v, b2, count)
        u = jax.tree.map(lambda m, v: m / jnp.sqrt(v), m_hat, v_hat)
        return u, optax.ScaleByAdamState(count, m, v)

    return optax.GradientTransformationExtraArgs(adam_init, update)


def adamomentum(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """AdaMomentum: Adam with the momentum's square where Adam has the gradient's.

    With hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) m^2 + eps
        w <- w - lr m_hat / sqrt(v_hat)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of the momentum's square.
      eps: added to v at every step, and not to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamomentum(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Wang et al., "Rethinking Adam: A Twofold Exponential Moving Average Approach", 2021,
      arXiv:2106.11514.
    """
    return optax.chain(
        scale_by_adamomentum(b1, b2, eps), optax.scale_by_learning_rate(learning_rate)
    )


ROWS = (
    Baseline(
        id="adamomentum",
        name="AdaMomentum",
        factory=adamomentum,
        group="adaptive",
        title="Rethinking Adam: A Twofold Exponential Moving Average Approach",
        authors="Wang et al.",
        year=2021,
        arxiv="2106.11514",
        tuning=tuned(0.1),
        checked=("equations",),
    ),
)
