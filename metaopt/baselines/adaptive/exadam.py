"""EXAdam, Adam whose two moments correct one another."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init, adam_moments


def scale_by_exadam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Rescale by EXAdam's moments; see `exadam`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params, extra_args
        state, m_hat, v_hat = adam_moments(updates, state, b1, b2)
        g_hat = optax.tree.bias_correction(updates, b1, state.count)
        b1_t, b2_t = (jnp.asarray(b) ** state.count for b in (b1, b2))

        def step(
            g_hat: jax.Array, m: jax.Array, v: jax.Array, m_hat: jax.Array, v_hat: jax.Array
        ) -> jax.Array:
            by_v = 1 + v / (v + eps) * b2_t
            by_m = 1 + m**2 / (m**2 + eps) * b1_t
            u = (m_hat + g_hat) * by_v / (jnp.sqrt(v_hat * by_m) + eps)
            return u.astype(g_hat.dtype)

        return jax.tree.map(step, g_hat, state.mu, state.nu, m_hat, v_hat), state

    return optax.GradientTransformationExtraArgs(adam_init, update)


def exadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """EXAdam: each moment enters the other's bias correction, and the gradient comes on top.

    With hats for division by 1 - b^t, that of g by 1 - b1^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        c = 1 + v / (v + eps) b2^t
        d = 1 + m^2 / (m^2 + eps) b1^t
        w <- w - lr ((m_hat + g_hat) c / (sqrt(v_hat d) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule. The paper's first version let it grow
        with t; the later ones and the author's code do not.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominators.
      weight_decay: decoupled, multiplied by the learning rate; of the author's code.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = exadam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Adly, "EXAdam: The Power of Adaptive Cross-Moments", 2024, arXiv:2412.20302;
      AhmedMostafa16/EXAdam.
    """
    return optax.chain(
        scale_by_exadam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="exadam",
        name="EXAdam",
        factory=exadam,
        group="adaptive",
        title="EXAdam: The Power of Adaptive Cross-Moments",
        authors="Adly",
        year=2024,
        arxiv="2412.20302",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
