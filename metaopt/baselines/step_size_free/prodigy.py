"""Prodigy, D-Adaptation that finds the distance to the solution sooner."""

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
from metaopt.baselines.step_size_free.dadaptation import ratio, require_positive


class ProdigyState(NamedTuple):
    """State of `prodigy`.

    Attributes:
      count: int32 (), steps taken.
      d: (), estimate of the distance to the solution.
      numerator: (), decaying sum of d lam <g, w_0 - w> / d0.
      m: moving average of d g; like v, s and x0, a tree like the parameters.
      v: moving average of the squares of d g.
      s: decaying sum of d lam g / d0.
      x0: the first parameters.
    """

    count: Any
    d: Any
    numerator: Any
    m: optax.Updates
    v: optax.Updates
    s: optax.Updates
    x0: optax.Params


def prodigy(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    b3: float | None = None,
    weight_decay: float = 0.0,
    d0: float = 1e-6,
    d_coef: float = 1.0,
    use_bias_correction: bool = False,
    safeguard_warmup: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Prodigy: Adam whose step size is an estimate of the distance to the solution.

    With lam = lr d and b3 = sqrt(b2), d on the right being the last step's, save in eps d:

        r <- b3 r + d / d0 lam <g, w_0 - w>
        m <- b1 m + (1 - b1) d g
        v <- b2 v + (1 - b2) (d g)^2
        s <- b3 s + d / d0 lam g
        d <- max(d, d_coef r / |s|_1)
        w <- w - lam weight_decay w - lam m / (sqrt(v) + eps d)

    Args:
      learning_rate: a number, a scalar array or a schedule; 1, or a schedule that starts there.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator, times d.
      b3: decay of the sums that d is found from; None: sqrt(b2).
      weight_decay: decoupled.
      d0: the first d, less than the distance.
      d_coef: factor of the estimate; the way to tune the method.
      use_bias_correction: whether lam has Adam's factor sqrt(1 - b2^t) / (1 - b1^t).
      safeguard_warmup: whether s takes d in place of lam, for learning rates that warm up.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: d0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = prodigy()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Mishchenko, Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2023,
      arXiv:2306.06101; konstmish/prodigy. Optax's is use_bias_correction=True.
    """
    require_positive(d0, "prodigy")
    decay = b2**0.5 if b3 is None else b3

    def init(params: optax.Params) -> ProdigyState:
        dtype = scalar_dtype(params)
        m, v, s = zeros_like(params, 3)
        return ProdigyState(
            jnp.zeros((), jnp.int32),
            jnp.asarray(d0, dtype),
            jnp.zeros((), dtype),
            m,
            v,
            s,
            jax.tree.map(jnp.copy, params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ProdigyState]:
        del extra_args
        params = require_params(params, "prodigy")
        count = optax.safe_increment(state.count)
        lam = rate_at(learning_rate, state.count) * state.d
        if use_bias_correction:
            lam = lam * debiasing(b1, b2, count)
        lam = lam.astype(state.d.dtype)
        way = optax.tree.sub(state.x0, params)
        numerator = decay * state.numerator + state.d / d0 * lam * inner(updates, way)
        dg = jax.tree.map(lambda g: (state.d * g).astype(g.dtype), updates)
        m = optax.tree.update_moment(dg, state.m, b1, 1)
        v = optax.tree.update_moment(dg, state.v, b2, 2)
        weight = (state.d if safeguard_warmup else lam) / d0
        s = jax.tree.map(lambda s, dg: (decay * s + weight * dg).astype(s.dtype), state.s, dg)
        d = jnp.maximum(state.d, ratio(d_coef * numerator, l1_norm(s)))

        def step(w: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            direction = m / (jnp.sqrt(v) + d * eps)
            return (-lam * (direction + weight_decay * w)).astype(w.dtype)

        return (
            jax.tree.map(step, params, m, v),
            ProdigyState(count, d, numerator, m, v, s, state.x0),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="prodigy",
        name="Prodigy",
        factory=prodigy,
        group="step_size_free",
        title="Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
        authors="Mishchenko, Defazio",
        year=2023,
        arxiv="2306.06101",
        needs=("params",),
        test={"weight_decay": 0.01, "d0": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0, weight_decay=(1e-4, 1.0)),
        checked=("prodigyopt 1.1.2", "pytorch_optimizer 4.1.0"),
    ),
)
