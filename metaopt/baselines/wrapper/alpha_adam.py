"""AlphaAdam, Adam that moves only where momentum and gradient agree."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init, adam_moments
from metaopt.baselines.shared.norms import rms

_DEVIATIONS = (
    "Neither the paper's algorithm nor the authors' code was available: alpha is taken as what "
    "keeps the norm of each array's step. An optimizer of its own, since the paper's is Adam's."
)


def scale_by_alpha_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Rescale by Adam, masked and strengthened; see `alpha_adam`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params, extra_args
        state, m_hat, v_hat = adam_moments(updates, state, b1, b2)

        def step(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            u = m / (jnp.sqrt(v) + eps)
            masked = jnp.where(m * g > 0, u, 0)
            rest = rms(masked)
            return masked * jnp.where(rest > 0, rms(u) / jnp.where(rest > 0, rest, 1), 0)

        return jax.tree.map(step, updates, m_hat, v_hat), state

    return optax.GradientTransformationExtraArgs(adam_init, update)


def alpha_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """AlphaAdam: steps where momentum and gradient agree in sign, as long as without the mask.

    For each array, with hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        u = m_hat / (sqrt(v_hat) + eps)
        s = u where m g > 0, 0 elsewhere
        alpha = ||u|| / ||s||
        w <- w - lr (alpha s + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate; of masked coordinates too.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = alpha_adam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Chang, Li, Yuan, "AlphaAdam: Asynchronous Masked Optimization with Dynamic Alpha for
      Selective Updates", 2025, arXiv:2501.18094; MaeChd/AlphaAdam.

    Deviations:
      Neither the paper's algorithm nor the authors' code was available: alpha is taken as what
      keeps the norm of each array's step. An optimizer of its own, since the paper's is Adam's.
    """
    return optax.chain(
        scale_by_alpha_adam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="alpha_adam",
        name="AlphaAdam",
        factory=alpha_adam,
        group="wrapper",
        title=(
            "AlphaAdam: Asynchronous Masked Optimization with Dynamic Alpha for Selective Updates"
        ),
        authors="Chang, Li, Yuan",
        year=2025,
        arxiv="2501.18094",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
)
