"""Cautious weight decay: only of weights that the update draws to zero anyway."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


def add_cautious_decayed_weights(weight_decay: float) -> optax.GradientTransformation:
    """Add weight_decay w to an update wherever both are of one sign, or either is 0.

    Args:
      weight_decay: a number or a scalar array.

    Returns:
      The transformation, to follow a direction of ascent. Its update needs the parameters.
    """

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Any]:
        params = require_params(params, "add_cautious_decayed_weights")

        def decayed(u: jax.Array, w: jax.Array) -> jax.Array:
            return (u + jnp.where(u * w >= 0, weight_decay * w, 0)).astype(u.dtype)

        return jax.tree.map(decayed, updates, params), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def cautious_weight_decay(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: float = 0.1,
    direction: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """CWD: decoupled decay of those weights that the update makes smaller.

    With u the direction, Adam's m_hat / (sqrt(v_hat) + eps) unless told otherwise:

        mask <- 1 if u w >= 0 else 0
        w <- w - lr (u + weight_decay mask w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      weight_decay: decoupled, multiplied by the learning rate.
      direction: what steps go along, before its sign is turned; default: `optax.scale_by_adam()`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = cautious_weight_decay(1e-4, direction=optax.scale_by_lion())
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Chen et al., "Cautious Weight Decay", 2025, arXiv:2510.12402.

    Deviations: an optimizer around a direction and not a wrapper around an optimizer, since decay
    needs the learning rate.
    """
    return optax.chain(
        optax.scale_by_adam() if direction is None else direction,
        add_cautious_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="cautious_weight_decay",
        name="Cautious weight decay",
        factory=cautious_weight_decay,
        group="weight_decay",
        title="Cautious Weight Decay",
        authors="Chen et al.",
        year=2025,
        arxiv="2510.12402",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "An optimizer around a direction and not a wrapper around an optimizer, since decay "
            "needs the learning rate."
        ),
        checked=("heavyball 3.2.1",),
    ),
)
