"""Lion with D-Adaptation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.sums import inner, l1_norm, scalar_dtype
from metaopt.baselines.shared.trees import zeros_like
from metaopt.baselines.step_size_free.dadaptation import average, ratio, require_positive


class DAdaptLionState(NamedTuple):
    """State of `dadapt_lion`.

    Attributes:
      count: int32 (), steps taken.
      d: (), estimate of D.
      numerator: (), moving average of lam <u, s>.
      m: moving average of lam g; like s, a tree like the parameters.
      s: moving average of lam u, with decay sqrt(b2).
    """

    count: Any
    d: Any
    numerator: Any
    m: optax.Updates
    s: optax.Updates


def dadapt_lion(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    b1: float = 0.9,
    b2: float = 0.99,
    *,
    weight_decay: float = 0.0,
    d0: float = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """Lion with D-Adaptation.

    With lam = lr d and b3 = sqrt(b2):

        u = sign(b1 m + (1 - b1) g)
        w <- w - lam u - lam weight_decay w
        m <- b2 m + (1 - b2) lam g
        r <- b3 r + (1 - b3) lam <u, s>
        s <- b3 s + (1 - b3) lam u
        d <- max(d, r / ((1 - b3) |s|_1))

    Args:
      learning_rate: a number, a scalar array or a schedule; 1 in theory, less in practice.
      b1: weight of the momentum in the sign.
      b2: decay of the momentum.
      weight_decay: decoupled.
      d0: the first d, less than D.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: d0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dadapt_lion()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Defazio, Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023, arXiv:2301.07733;
      facebookresearch/dadaptation.

    Deviations:
      Not in the paper: the rule is that of the authors' code, which they call highly experimental.
      It weighs g by lam in m but not in the sign, and d can grow without bound at rates near 1.
    """
    require_positive(d0, "dadapt_lion")
    b3 = b2**0.5

    def init(params: optax.Params) -> DAdaptLionState:
        dtype = scalar_dtype(params)
        return DAdaptLionState(
            jnp.zeros((), jnp.int32),
            jnp.asarray(d0, dtype),
            jnp.zeros((), dtype),
            *zeros_like(params, 2),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, DAdaptLionState]:
        del extra_args
        params = require_params(params, "dadapt_lion")
        lam = (rate_at(learning_rate, state.count) * state.d).astype(state.d.dtype)
        u = jax.tree.map(lambda m, g: jnp.sign(b1 * m + (1 - b1) * g), state.m, updates)
        m = average(state.m, b2, lam, updates)
        numerator = b3 * state.numerator + (1 - b3) * lam * inner(u, state.s)
        s = average(state.s, b3, lam, u)
        d = jnp.maximum(state.d, ratio(numerator, (1 - b3) * l1_norm(s)))

        def step(w: jax.Array, u: jax.Array) -> jax.Array:
            return (-lam * (u + weight_decay * w)).astype(w.dtype)

        count = optax.safe_increment(state.count)
        return jax.tree.map(step, params, u), DAdaptLionState(count, d, numerator, m, s)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="dadapt_lion",
        name="D-Adapted Lion",
        factory=dadapt_lion,
        group="step_size_free",
        title="Learning-Rate-Free Learning by D-Adaptation",
        authors="Defazio, Mishchenko",
        year=2023,
        arxiv="2301.07733",
        needs=("params",),
        test={"weight_decay": 0.01, "d0": 0.01},
        bench={"d0": 0.01},
        test_rate=1.0,
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        deviations=(
            "Not in the paper: the rule is that of the authors' code, which they call highly "
            "experimental. It weighs g by lam in m but not in the sign, and d can grow without "
            "bound at rates near 1."
        ),
        checked=("dadaptation 3.2", "pytorch_optimizer 4.1.0"),
    ),
)
