"""SWATS, which starts as Adam and goes on as SGD."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.sums import inner, scalar_dtype
from metaopt.baselines.shared.trees import zeros_like


class SwatsState(NamedTuple):
    """State of `swats`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters; it starts anew at the switch.
      v: moving average of squared gradients, likewise.
      projected: (), moving average, corrected for its bias, of the SGD learning rate whose step,
        projected onto Adam's, equals it; over the learning rate.
      sgd_scale: (), SGD's learning rate over the given one; zero before the switch.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    projected: Any
    sgd_scale: Any


def swats(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-9,
    *,
    tolerance: float = 1e-9,
) -> optax.GradientTransformationExtraArgs:
    """SWATS: switches from Adam to SGD when it knows the learning rate that SGD needs.

    With p.q over all parameters together:

        Adam:  m <- b1 m + (1 - b1) g
               v <- b2 v + (1 - b2) g^2
               p = -lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
               w <- w + p
               gamma = p.p / -p.g
               lambda <- b2 lambda + (1 - b2) gamma
               L = lambda / (1 - b2^t)
               to SGD, with m <- 0, if t > 1 and |L - gamma| < tolerance
        SGD:   m <- b1 m + (1 - b1) g
               w <- w - L m

    Args:
      learning_rate: Adam's: a number, a scalar array or a schedule. SGD goes on with the schedule,
        times what L was relative to it.
      b1: decay of the average of gradients.
      b2: decay of the average of squares, and of the estimate of SGD's learning rate.
      eps: added to the denominator.
      tolerance: how well gamma and its average agree at the switch.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = swats(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Keskar, Socher, "Improving Generalization Performance by Switching from Adam to SGD", 2017,
      arXiv:1712.07628.

    Deviations:
      It only switches to a positive learning rate. gamma is averaged relative to the learning rate,
      which makes a difference under schedules only.
    """

    def init(params: optax.Params) -> SwatsState:
        projected, sgd_scale = (jnp.zeros((), scalar_dtype(params)) for _ in range(2))
        m, v = zeros_like(params, 2)
        return SwatsState(jnp.zeros((), jnp.int32), m, v, projected, sgd_scale)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SwatsState]:
        del params, extra_args
        t: Any = optax.safe_increment(state.count)
        rate = rate_at(learning_rate, state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        unbias = debiasing(b1, b2, t)
        adam = jax.tree.map(lambda m, v: (unbias * m / (jnp.sqrt(v) + eps)).astype(m.dtype), m, v)

        along = inner(adam, updates)
        gamma = inner(adam, adam) / jnp.where(along == 0, 1, along)
        # lambda / (1 - b2^t) as one average: the two are not precise enough for the tolerance.
        weight = jnp.where(state.count == 0, 1, (1 - b2) / (1 - b2**t))
        projected = state.projected + jnp.where(along == 0, 0, weight * (gamma - state.projected))

        is_sgd = state.sgd_scale > 0
        agrees = (t > 1) & (along != 0) & (jnp.abs(rate * (projected - gamma)) < tolerance)
        switch = ~is_sgd & agrees & (projected > 0)

        def step(m: jax.Array, adam: jax.Array) -> jax.Array:
            return (-rate * jnp.where(is_sgd, state.sgd_scale * m, adam)).astype(m.dtype)

        return jax.tree.map(step, m, adam), SwatsState(
            t,
            jax.tree.map(lambda m: jnp.where(switch, jnp.zeros_like(m), m), m),
            v,
            projected.astype(along.dtype),
            jnp.where(switch, projected, state.sgd_scale).astype(along.dtype),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="swats",
        name="SWATS",
        factory=swats,
        group="first_order",
        title="Improving Generalization Performance by Switching from Adam to SGD",
        authors="Keskar, Socher",
        year=2017,
        arxiv="1712.07628",
        test={"tolerance": 1e-3},
        tuning=tuned(0.3),
        deviations="It only switches to a positive learning rate. gamma is averaged relative to "
        "the learning rate, which makes a difference under schedules only.",
        checked=("pytorch_optimizer 4.1.0", "swats 0.1.0"),
    ),
)
