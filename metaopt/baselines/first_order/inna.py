"""INNA, a discretization of a dynamical system with viscous and Newtonian damping."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at


class InnaState(NamedTuple):
    """State of `inna`.

    Attributes:
      count: int32 (), steps taken.
      psi: the phase variable, a tree like the parameters.
    """

    count: Any
    psi: optax.Params


def inna(
    learning_rate: optax.ScalarOrSchedule,
    alpha: float = 0.5,
    beta: float = 0.1,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """INNA: an inertial Newton method that needs gradients alone.

    From psi = (1 - alpha beta) w:

        w <- (1 - lr weight_decay) w
        d = (1/beta - alpha) w - psi/beta
        psi <- psi + lr d
        w <- w + lr (d - beta g)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      alpha: viscous damping; high values are slow and stable.
      beta: Newtonian damping, above zero: how strongly the change of gradients is felt.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: beta is not above zero.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = inna(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Castera et al., "An Inertial Newton Algorithm for Deep Learning", 2019, arXiv:1905.12278;
      camcastera/INNA-for-DeepLearning.

    Deviations:
      The learning rate is whatever its schedule says; the paper's falls as 1/sqrt(t).
    """
    if isinstance(beta, int | float) and beta <= 0:
        raise ValueError(f"beta is {beta}; INNA divides by it: choose one above zero, such as 0.1")

    def init(params: optax.Params) -> InnaState:
        phase = jax.tree.map(lambda w: ((1 - alpha * beta) * w).astype(w.dtype), params)
        return InnaState(jnp.zeros((), jnp.int32), phase)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, InnaState]:
        del extra_args
        params = require_params(params, "inna")
        rate = rate_at(learning_rate, state.count)

        def drift(w: jax.Array, psi: jax.Array) -> jax.Array:
            decayed = (1 - rate * weight_decay) * w
            return rate * ((1 / beta - alpha) * decayed - psi / beta)

        def step(w: jax.Array, psi: jax.Array, g: jax.Array) -> jax.Array:
            return (drift(w, psi) - rate * (beta * g + weight_decay * w)).astype(w.dtype)

        def phase(w: jax.Array, psi: jax.Array) -> jax.Array:
            return (psi + drift(w, psi)).astype(psi.dtype)

        return (
            jax.tree.map(step, params, state.psi, updates),
            InnaState(optax.safe_increment(state.count), jax.tree.map(phase, params, state.psi)),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="inna",
        name="INNA",
        factory=inna,
        group="first_order",
        title="An Inertial Newton Algorithm for Deep Learning",
        authors="Castera et al.",
        year=2019,
        arxiv="1905.12278",
        needs=("params",),
        test={"weight_decay": 0.02},
        test_rate=0.1,
        # Beyond 2 beta, psi's own decay is unstable; lr beta is the weight of the gradient.
        tuning=tuned(0.2, beta=(0.1, 10.0)),
        deviations="The learning rate is whatever its schedule says; the paper's falls as "
        "1/sqrt(t).",
        checked=("equations",),
    ),
)
