"""StableAdamW, AdamW with the update clipping of Adafactor."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init, adam_moments
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import rms


def scale_by_stable_adamw(
    b1: float = 0.9,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
) -> optax.GradientTransformationExtraArgs:
    """Rescale by AdamW, slower where its second moment is out of date; see `stable_adamw`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del extra_args
        params = require_params(params, "stable_adamw")
        state, m_hat, v_hat = adam_moments(updates, state, b1, b2)

        def step(g: jax.Array, m: jax.Array, v: jax.Array, w: jax.Array) -> jax.Array:
            spike = rms(g / jnp.maximum(jnp.sqrt(v), eps))
            u = m / (jnp.sqrt(v) + eps) + weight_decay * w
            return (u / jnp.maximum(1, spike)).astype(w.dtype)

        return jax.tree.map(step, updates, m_hat, v_hat, params), state

    return optax.GradientTransformationExtraArgs(adam_init, update)


def stable_adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
) -> optax.GradientTransformationExtraArgs:
    """StableAdamW: AdamW whose rate falls for arrays with gradients larger than they used to be.

    For each array, with hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        r = sqrt(mean(g^2 / max(v_hat, eps^2)))
        w <- w - lr / max(1, r) (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the rate that the last equation has.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = stable_adamw(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wortsman et al., "Stable and low-precision training for large-scale vision-language models",
      2023, arXiv:2304.13013.
    """
    return optax.chain(
        scale_by_stable_adamw(b1, b2, eps, weight_decay=weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="stable_adamw",
        name="StableAdamW",
        factory=stable_adamw,
        group="clipping",
        title="Stable and low-precision training for large-scale vision-language models",
        authors="Wortsman et al.",
        year=2023,
        arxiv="2304.13013",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("optimi 0.3.3", "pytorch_optimizer 4.1.0", "zij 0.1.1"),
    ),
)
