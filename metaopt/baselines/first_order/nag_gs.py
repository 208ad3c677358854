"""NAG-GS, a semi-implicit discretization of Nesterov's accelerated gradient flow."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at


class NagGSState(NamedTuple):
    """State of `nag_gs`.

    Attributes:
      count: int32 (), steps taken.
      gamma: (), the scale of inertia, which goes to mu.
      v: the velocity's variable, a tree like the parameters.
    """

    count: Any
    gamma: Any
    v: optax.Params


def nag_gs(
    learning_rate: optax.ScalarOrSchedule, mu: float = 1.0, gamma: float = 1.5
) -> optax.GradientTransformationExtraArgs:
    """NAG-GS: the accelerated gradient flow by Gauss-Seidel splitting.

    From v = w, with the flow's time step lr:

        a = lr / (1 + lr)
        gamma <- (1 - a) gamma + a mu
        b = lr mu / (lr mu + gamma)
        v <- (1 - b) v + b w - (b / mu) g
        w <- (1 - a) w + a v

    Args:
      learning_rate: the time step; a number, a scalar array or a schedule.
      mu: the strong convexity that is assumed: how strongly v is drawn to w.
      gamma: the scale of inertia at the start.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = nag_gs(0.05)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Leplat et al., "NAG-GS: Semi-Implicit, Accelerated and Robust Stochastic Optimizer", 2022,
      arXiv:2209.14937; naggsopt/naggs.

    Deviations:
      The first iteration's step of w, which is zero since v = w, is left out; the authors' JAX code
      makes it and leaves the first gradient unused. Their PyTorch code finds b before gamma's step;
      here it is found after it, as in the paper's algorithm and in their JAX code.
    """

    def init(params: optax.Params) -> NagGSState:
        return NagGSState(
            jnp.zeros((), jnp.int32), jnp.asarray(gamma, float), jax.tree.map(jnp.array, params)
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, NagGSState]:
        del extra_args
        params = require_params(params, "nag_gs")
        rate = rate_at(learning_rate, state.count)
        a = rate / (1 + rate)
        inertia = (1 - a) * state.gamma + a * mu
        b_over_mu = rate / (rate * mu + inertia)

        def velocity(v: jax.Array, w: jax.Array, g: jax.Array) -> jax.Array:
            return (v + b_over_mu * (mu * (w - v) - g)).astype(v.dtype)

        v = jax.tree.map(velocity, state.v, params, updates)
        updates = jax.tree.map(lambda v, w: (a * (v - w)).astype(w.dtype), v, params)
        count = optax.safe_increment(state.count)
        return updates, NagGSState(count, inertia.astype(state.gamma.dtype), v)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="nag_gs",
        name="NAG-GS",
        factory=nag_gs,
        group="first_order",
        title="NAG-GS: Semi-Implicit, Accelerated and Robust Stochastic Optimizer",
        authors="Leplat et al.",
        year=2022,
        arxiv="2209.14937",
        needs=("params",),
        test_rate=0.2,
        tuning=tuned(10.0, gamma=(0.01, 10.0)),
        deviations="The first iteration's step of w, which is zero since v = w, is left out; the "
        "authors' JAX code makes it and leaves the first gradient unused. Their PyTorch code finds "
        "b before gamma's step; here it is found after it, as in the paper's algorithm and in "
        "their JAX code.",
        checked=("equations",),
    ),
)
