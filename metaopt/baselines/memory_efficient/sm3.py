"""SM3, Adagrad with one accumulator for each row, column or other slice."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import on_leaves


class SM3State(NamedTuple):
    """State of `scale_by_sm3`.

    Attributes:
      accumulators: for each parameter, a list with an array for each of its axes: of the size of
        that axis, and 1 along the others. A scalar has one accumulator.
    """

    accumulators: Any


def scale_by_sm3() -> optax.GradientTransformationExtraArgs:
    """The direction of `sm3`, without its momentum."""

    def init(params: optax.Params) -> SM3State:
        return SM3State(jax.tree.map(lambda w: _largest(jnp.zeros_like(w)), params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SM3State]:
        del params, extra_args
        nu = jax.tree.map(
            lambda g, mu: reduce(jnp.minimum, mu) + jnp.square(g), updates, state.accumulators
        )

        def direction(g: jax.Array, nu: jax.Array) -> jax.Array:
            # The paper's 0 / 0 = 0.
            return jnp.where(nu > 0, g / jnp.sqrt(jnp.where(nu > 0, nu, 1)), 0)

        return jax.tree.map(direction, updates, nu), SM3State(jax.tree.map(_largest, nu))

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def _largest(nu: jax.Array) -> list[jax.Array]:
    """For each axis, the maximum over all others."""
    axes = range(nu.ndim)
    if nu.ndim == 0:
        return [nu]
    return [jnp.max(nu, [a for a in axes if a != kept], keepdims=True, initial=0) for kept in axes]


def sm3(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """SM3-II: Adagrad whose accumulators cover whole slices of an array, one slice for each index.

    With nu and g arrays, and the slices S of each axis:

        nu = min over the slices S that contain an entry of mu_S, + g^2
        mu_S <- max over S of nu
        m <- momentum m + (1 - momentum) g / sqrt(nu)
        w <- w - lr m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the direction's average. The number 0 for none, and no memory for it.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sm3(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Anil et al., "Memory-Efficient Adaptive Optimization", 2019, arXiv:1901.11150;
      google-research/google-research.
    """
    without = isinstance(momentum, (int, float)) and momentum == 0
    return optax.chain(
        scale_by_sm3(),
        optax.identity() if without else optax.ema(momentum, debias=False),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="sm3",
        name="SM3",
        factory=sm3,
        group="memory_efficient",
        title="Memory-Efficient Adaptive Optimization",
        authors="Anil et al.",
        year=2019,
        arxiv="1901.11150",
        test_rate=0.1,
        tuning=tuned(3.0),
        matrix_bytes=lambda m, n: 4 * (m * n + m + n),
        checked=("pytorch_optimizer 4.1.0", "torch_SM3 0.1.0"),
    ),
)
