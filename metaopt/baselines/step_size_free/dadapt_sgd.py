"""SGD with D-Adaptation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.sums import inner, scalar_dtype
from metaopt.baselines.step_size_free.dadaptation import add_scaled, ratio, require_positive


class DAdaptSGDState(NamedTuple):
    """State of `dadapt_sgd`.

    Attributes:
      count: int32 (), steps taken.
      d: (), estimate of D.
      numerator: (), sum of lam <g, s>.
      g0_norm: (), norm of the first gradient that is not zero.
      s: weighted sum of gradients; like x0, a tree like the parameters.
      x0: the first parameters.
    """

    count: Any
    d: Any
    numerator: Any
    g0_norm: Any
    s: optax.Updates
    x0: optax.Params


def dadapt_sgd(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    momentum: float = 0.0,
    *,
    d0: float = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """SGD with D-Adaptation, as dual averaging with momentum.

    With g_0 the first gradient and lam = lr d / |g_0|:

        r <- r + lam <g, s>
        s <- s + lam g
        d <- max(d, 2 r / |s|)
        w <- momentum w + (1 - momentum) (w_0 - s)

    Args:
      learning_rate: a number, a scalar array or a schedule; 1, or a schedule that starts there.
      momentum: how much of the parameters stays.
      d0: the first d, less than D.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: d0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dadapt_sgd(momentum=0.9)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Defazio, Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023, arXiv:2301.07733;
      facebookresearch/dadaptation.
    """
    require_positive(d0, "dadapt_sgd")

    def init(params: optax.Params) -> DAdaptSGDState:
        dtype = scalar_dtype(params)
        return DAdaptSGDState(
            jnp.zeros((), jnp.int32),
            jnp.asarray(d0, dtype),
            jnp.zeros((), dtype),
            jnp.zeros((), dtype),
            optax.tree.zeros_like(params),
            jax.tree.map(jnp.copy, params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, DAdaptSGDState]:
        del extra_args
        params = require_params(params, "dadapt_sgd")
        norm = jnp.sqrt(inner(updates, updates))
        g0_norm = jnp.where(state.g0_norm == 0, norm, state.g0_norm)
        rate = (rate_at(learning_rate, state.count) * state.d).astype(norm.dtype)
        lam = rate * ratio(1.0, g0_norm)
        numerator = state.numerator + lam * inner(updates, state.s)
        s = add_scaled(state.s, lam, updates)
        d = jnp.maximum(state.d, ratio(2 * numerator, jnp.sqrt(inner(s, s))))

        def step(w: jax.Array, w0: jax.Array, s: jax.Array) -> jax.Array:
            return ((1 - momentum) * (w0 - s - w)).astype(w.dtype)

        count = optax.safe_increment(state.count)
        return (
            jax.tree.map(step, params, state.x0, s),
            DAdaptSGDState(count, d, numerator, g0_norm, s, state.x0),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="dadapt_sgd",
        name="D-Adapted SGD",
        factory=dadapt_sgd,
        group="step_size_free",
        title="Learning-Rate-Free Learning by D-Adaptation",
        authors="Defazio, Mishchenko",
        year=2023,
        arxiv="2301.07733",
        needs=("params",),
        test={"momentum": 0.9, "d0": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0),
        checked=("dadaptation 3.2", "pytorch_optimizer 4.1.0"),
    ),
)
