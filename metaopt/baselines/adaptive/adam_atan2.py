"""Adam-atan2, Adam without an epsilon."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init, adam_moments


def scale_by_adam_atan2(
    b1: float = 0.9, b2: float = 0.99, *, a: float = 1.27, b: float = 1.0
) -> optax.GradientTransformationExtraArgs:
    """Rescale by the arctangent of Adam's quotient; see `adam_atan2`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params, extra_args
        state, m_hat, v_hat = adam_moments(updates, state, b1, b2)
        u = jax.tree.map(lambda m, v: a * jnp.arctan2(m, b * jnp.sqrt(v)), m_hat, v_hat)
        return u, state

    return optax.GradientTransformationExtraArgs(adam_init, update)


def adam_atan2(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    *,
    a: float = 1.27,
    b: float = 1.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Adam-atan2: Adam that does not change when gradients are scaled, and never divides by zero.

    With hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr (a atan2(m_hat, b sqrt(v_hat)) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      a: scale of the step: about 4 / pi, so that a quotient of one makes a step of one.
      b: scale of the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_atan2(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Everett et al., "Scaling Exponents Across Parameterizations and Optimizers", 2024,
      arXiv:2407.05872; defaults of lucidrains/adam-atan2-pytorch.
    """
    return optax.chain(
        scale_by_adam_atan2(b1, b2, a=a, b=b),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="adam_atan2",
        name="Adam-atan2",
        factory=adam_atan2,
        group="adaptive",
        title="Scaling Exponents Across Parameterizations and Optimizers",
        authors="Everett et al.",
        year=2024,
        arxiv="2407.05872",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
