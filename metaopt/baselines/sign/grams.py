"""Grams: Adam's magnitude in the gradient's direction."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


def scale_by_grams(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6
) -> optax.GradientTransformationExtraArgs:
    """The direction of `grams`."""
    adam = optax.scale_by_adam(b1, b2, eps)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del params, extra_args
        adaptive, state = adam.update(updates, state)
        return jax.tree.map(lambda g, u: jnp.sign(g) * jnp.abs(u), updates, adaptive), state

    return optax.GradientTransformationExtraArgs(adam.init, update)


def grams(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Grams: gradient descent with adaptive momentum scaling.

    With hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr (sign(g) |m_hat| / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of gradients.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = grams(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Cao et al., "Grams: Gradient Descent with Adaptive Momentum Scaling", 2024, arXiv:2412.17107;
      Gunale0926/Grams.

    Deviations:
      eps is added to the root of v_hat, as in the paper; the authors' code adds it to that of v.
    """
    return optax.chain(
        scale_by_grams(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="grams",
        name="Grams",
        factory=grams,
        group="sign",
        title="Grams: Gradient Descent with Adaptive Momentum Scaling",
        authors="Cao, Li, Song",
        year=2024,
        arxiv="2412.17107",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations="eps is added to the root of v_hat, as in the paper; the authors' code adds it "
        "to that of v.",
        checked=("equations",),
    ),
)
