"""Adam's moments and the correction of their bias, which many methods start from."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.trees import zeros_like


def adam_init(params: optax.Params) -> optax.ScaleByAdamState:
    """The state of `adam_moments`: no steps, and zeros like the parameters."""
    return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))


def adam_moments(
    updates: optax.Updates, state: Any, b1: float, b2: float
) -> tuple[optax.ScaleByAdamState, optax.Updates, optax.Updates]:
    """One step of Adam's moving averages.

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        m_hat, v_hat = m / (1 - b1^t), v / (1 - b2^t)

    Args:
      updates: gradients g.
      state: an `optax.ScaleByAdamState`.
      b1: decay of m.
      b2: decay of v.

    Returns:
      The state with m and v, m_hat and v_hat.
    """
    count = optax.safe_increment(state.count)
    m = optax.tree.update_moment(updates, state.mu, b1, 1)
    v = optax.tree.update_moment(updates, state.nu, b2, 2)
    m_hat = optax.tree.bias_correction(m, b1, count)
    v_hat = optax.tree.bias_correction(v, b2, count)
    return optax.ScaleByAdamState(count, m, v), m_hat, v_hat


def debiasing(b1: Any, b2: Any, count: Any) -> jax.Array:
    """What corrects m / sqrt(v), where `eps` is added to the square root as it is.

    Args:
      b1: decay of the gradient's average m.
      b2: decay of the squares' average v.
      count: int32 (), steps taken, this one included.

    Returns:
      sqrt(1 - b2^t) / (1 - b1^t), a scalar.
    """
    return jnp.sqrt(1 - b2**count) / (1 - b1**count)
