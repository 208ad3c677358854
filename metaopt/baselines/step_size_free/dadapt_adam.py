"""Adam with D-Adaptation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.sums import inner, l1_norm, scalar_dtype
from metaopt.baselines.shared.trees import zeros_like
from metaopt.baselines.step_size_free.dadaptation import average, ratio, require_positive, scaled


class DAdaptAdamState(NamedTuple):
    """State of `dadapt_adam`.

    Attributes:
      count: int32 (), steps taken.
      d: (), estimate of D.
      numerator: (), moving average of lam <g, s> in the norm of its step.
      m: moving average of lam g; like v and s, a tree like the parameters.
      v: moving average of squares.
      s: moving average of lam g, with decay sqrt(b2).
    """

    count: Any
    d: Any
    numerator: Any
    m: optax.Updates
    v: optax.Updates
    s: optax.Updates


def dadapt_adam(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    d0: float = 1e-6,
    use_bias_correction: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam with D-Adaptation.

    With lam = lr d, b3 = sqrt(b2), and the last step's v in r:

        r <- b3 r + (1 - b3) lam <g, s / (sqrt(v) + eps)>
        m <- b1 m + (1 - b1) lam g
        v <- b2 v + (1 - b2) g^2
        s <- b3 s + (1 - b3) lam g
        d <- max(d, r / ((1 - b3) |s|_1))
        w <- w - lam weight_decay w - m / (sqrt(v) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule; 1, or a schedule that starts there.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to denominators.
      weight_decay: decoupled.
      d0: the first d, less than D.
      use_bias_correction: whether lam has Adam's factor sqrt(1 - b2^t) / (1 - b1^t).

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: d0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dadapt_adam()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Defazio, Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023, arXiv:2301.07733;
      facebookresearch/dadaptation. Optax's `dadapt_adamw` is use_bias_correction=True.
    """
    require_positive(d0, "dadapt_adam")
    b3 = b2**0.5

    def init(params: optax.Params) -> DAdaptAdamState:
        dtype = scalar_dtype(params)
        return DAdaptAdamState(
            jnp.zeros((), jnp.int32),
            jnp.asarray(d0, dtype),
            jnp.zeros((), dtype),
            *zeros_like(params, 3),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, DAdaptAdamState]:
        del extra_args
        params = require_params(params, "dadapt_adam")
        count = optax.safe_increment(state.count)
        lam = rate_at(learning_rate, state.count) * state.d
        if use_bias_correction:
            lam = lam * debiasing(b1, b2, count)
        lam = lam.astype(state.d.dtype)
        r = lam * inner(updates, scaled(state.s, state.v, eps))
        numerator = b3 * state.numerator + (1 - b3) * r
        m = average(state.m, b1, lam, updates)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        s = average(state.s, b3, lam, updates)
        d = jnp.maximum(state.d, ratio(numerator, (1 - b3) * l1_norm(s)))

        def step(w: jax.Array, u: jax.Array) -> jax.Array:
            return (-u - lam * weight_decay * w).astype(w.dtype)

        return (
            jax.tree.map(step, params, scaled(m, v, eps)),
            DAdaptAdamState(count, d, numerator, m, v, s),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="dadapt_adam",
        name="D-Adapted Adam",
        factory=dadapt_adam,
        group="step_size_free",
        title="Learning-Rate-Free Learning by D-Adaptation",
        authors="Defazio, Mishchenko",
        year=2023,
        arxiv="2301.07733",
        needs=("params",),
        test={"weight_decay": 0.01, "d0": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0, weight_decay=(1e-4, 1.0)),
        checked=("dadaptation 3.2", "pytorch_optimizer 4.1.0"),
    ),
)
