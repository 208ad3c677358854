"""Gravity, which moves parameters as a ball would roll down the slope of the loss."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.rates import rate_at


class GravityState(NamedTuple):
    """State of `gravity`.

    Attributes:
      count: int32 (), steps taken.
      v: the velocity, a tree like the parameters.
    """

    count: Any
    v: optax.Updates


def gravity(
    learning_rate: optax.ScalarOrSchedule,
    alpha: float = 0.01,
    beta: float = 0.9,
    *,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Gravity: large gradients are damped as on a steep slope, whose horizontal way is short.

    From v ~ N(0, (alpha / lr)^2), for every array, with t = 1, 2, ...:

        m = 1 / max |g|
        z = g / (1 + (g / m)^2)
        b = (beta t + 1) / (t + 2)
        v <- b v + (1 - b) z
        w <- w - lr v

    Args:
      learning_rate: a number, a scalar array or a schedule.
      alpha: deviation of the first velocity, times the learning rate.
      beta: decay of the velocity in the long run.
      seed: of the first velocity.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = gravity(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Bahrami, Pouriyan Zadeh, "Gravity Optimizer: a Kinematic Approach on Optimization in Deep
      Learning", 2021, arXiv:2101.09192; dariush-bahrami/gravity.optimizer.

    Deviations:
      Under a schedule that starts at zero, where alpha / lr is infinite, the velocity does too.
    """

    def init(params: optax.Params) -> GravityState:
        count = jnp.zeros((), jnp.int32)
        rate = jnp.asarray(rate_at(learning_rate, count))
        deviation = jnp.where(rate > 0, alpha / rate, 0)
        noise = optax.tree.random_like(jax.random.key(seed), params, jax.random.normal)
        return GravityState(count, jax.tree.map(lambda n: (deviation * n).astype(n.dtype), noise))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, GravityState]:
        del params, extra_args
        t: Any = optax.safe_increment(state.count)
        b = (beta * t + 1) / (t + 2)

        def velocity(v: jax.Array, g: jax.Array) -> jax.Array:
            steepest = jnp.max(jnp.abs(g), initial=0)
            return (b * v + (1 - b) * g / (1 + (g * steepest) ** 2)).astype(v.dtype)

        v = jax.tree.map(velocity, state.v, updates)
        rate = rate_at(learning_rate, state.count)
        return jax.tree.map(lambda v: (-rate * v).astype(v.dtype), v), GravityState(t, v)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="gravity",
        name="Gravity",
        factory=gravity,
        group="first_order",
        title="Gravity Optimizer: a Kinematic Approach on Optimization in Deep Learning",
        authors="Bahrami, Pouriyan Zadeh",
        year=2021,
        arxiv="2101.09192",
        needs=("seed",),
        test_rate=0.2,
        tuning=tuned(10.0),
        deviations="Under a schedule that starts at zero, where alpha / lr is infinite, the "
        "velocity does too.",
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
