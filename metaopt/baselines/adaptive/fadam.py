"""FAdam, Adam read as natural gradient descent with a diagonal Fisher information."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import adam_init
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import rms

_DEVIATIONS = (
    "The paper's text was not available: the adaptive epsilon is that of the implementations, "
    "eps min(RMS(g), 1); lessw2020/FAdam_PyTorch has since put max for min."
)


def scale_by_fadam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.1,
    clip: float = 1.0,
    power: float = 0.5,
) -> optax.GradientTransformationExtraArgs:
    """Momentum of natural gradients, and decay along them; see `fadam`."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del extra_args
        params = require_params(params, "fadam")
        count = optax.safe_increment(state.count)
        f = optax.tree.update_moment(updates, state.nu, b2, 2)
        f_hat = optax.tree.bias_correction(f, b2, count)

        def root(g: jax.Array, f: jax.Array) -> jax.Array:
            return f**power + (eps * jnp.minimum(rms(g), 1)) ** (2 * power)

        def natural(x: jax.Array, root: jax.Array) -> jax.Array:
            # Where there never was a gradient, there is no information to divide by.
            x = jnp.where(root > 0, x / jnp.where(root > 0, root, 1), 0)
            return x / jnp.maximum(1, rms(x) / clip)

        roots = jax.tree.map(root, updates, f_hat)
        m = optax.tree.update_moment(jax.tree.map(natural, updates, roots), state.mu, b1, 1)
        decay = jax.tree.map(natural, params, roots)
        u = jax.tree.map(lambda m, d: m + (weight_decay * d).astype(m.dtype), m, decay)
        return u, optax.ScaleByAdamState(count, m, f)

    return optax.GradientTransformationExtraArgs(adam_init, update)


def fadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.1,
    clip: float = 1.0,
    power: float = 0.5,
) -> optax.GradientTransformationExtraArgs:
    """FAdam: natural gradients are clipped and averaged, and weight decay is one of them.

    For each array, with RMS(x) the root of the mean of its squares and f_hat = f / (1 - b2^t):

        f <- b2 f + (1 - b2) g^2
        e = eps min(RMS(g), 1)
        n(x) = x / (f_hat^power + e^(2 power)),  c(x) = x / max(1, RMS(x) / clip)
        m <- b1 m + (1 - b1) c(n(g))
        w <- w - lr (m + weight_decay c(n(w)))

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the natural gradient's average, which is not debiased.
      b2: decay of the Fisher information. The paper corrects it as b2 (1 - b2^(t-1)) / (1 - b2^t),
        which is the same as dividing f by 1 - b2^t.
      eps: added to the denominators, scaled as said above.
      weight_decay: multiplied by the learning rate.
      clip: largest RMS of natural gradients and of decays.
      power: of the Fisher information; the exact natural gradient has 1.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = fadam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Hwang, "FAdam: Adam is a natural gradient optimizer using diagonal empirical Fisher
      information", 2024, arXiv:2405.12807; lessw2020/FAdam_PyTorch.

    Deviations:
      The paper's text was not available: the adaptive epsilon is that of the implementations,
      eps min(RMS(g), 1); lessw2020/FAdam_PyTorch has since put max for min.
    """
    return optax.chain(
        scale_by_fadam(b1, b2, eps, weight_decay=weight_decay, clip=clip, power=power),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="fadam",
        name="FAdam",
        factory=fadam,
        group="adaptive",
        title="FAdam: Adam is a natural gradient optimizer using diagonal empirical Fisher "
        "information",
        authors="Hwang",
        year=2024,
        arxiv="2405.12807",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=_DEVIATIONS,
        checked=("zij 0.1.1",),
    ),
)
