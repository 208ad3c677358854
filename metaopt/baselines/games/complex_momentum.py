"""Momentum that turns: a complex decay, for games whose players chase each other in circles."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


class ComplexTraceState(NamedTuple):
    """State of `complex_trace`.

    Attributes:
      mu: complex momentum, a tree like the parameters; complex64, complex128 for float64.
    """

    mu: Any


def complex_trace(momentum: float, angle: float) -> optax.GradientTransformationExtraArgs:
    """The real part of momentum with a complex decay, mu <- momentum exp(i angle) mu + g."""

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ComplexTraceState]:
        del params, extra_args
        mu = _turned(state.mu, updates, momentum, angle)
        return _real(mu, updates), ComplexTraceState(mu)

    return optax.GradientTransformationExtraArgs(
        lambda params: ComplexTraceState(_complex_zeros(params)), update
    )


def _complex_zeros(params: optax.Params) -> Any:
    def zeros(w: jax.Array) -> jax.Array:
        return jnp.zeros(w.shape, jnp.promote_types(w.dtype, jnp.complex64))

    return jax.tree.map(zeros, params)


def _turned(mu: Any, updates: optax.Updates, magnitude: float, angle: float) -> Any:
    decay = magnitude * jnp.exp(1j * angle)
    return jax.tree.map(lambda mu, g: (decay * mu + g).astype(mu.dtype), mu, updates)


def _real(mu: Any, updates: optax.Updates) -> optax.Updates:
    return jax.tree.map(lambda mu, g: mu.real.astype(g.dtype), mu, updates)


def complex_momentum(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    angle: float = math.pi / 8,
) -> optax.GradientTransformationExtraArgs:
    """Complex momentum: SGD whose momentum oscillates as it decays.

    With complex mu:

        beta = momentum exp(i angle)
        mu <- beta mu - g
        w <- w + lr Re(mu)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: magnitude of the decay.
      angle: its argument, in radians. 0 is momentum, pi negative momentum.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = complex_momentum(0.01)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Lorraine et al., "Complex Momentum for Optimization in Games", 2021, arXiv:2102.08431.

    Deviations:
      The learning rate is real; the paper's may be complex.
    """
    return optax.chain(complex_trace(momentum, angle), optax.scale_by_learning_rate(learning_rate))


class ScaleByComplexAdamState(NamedTuple):
    """State of `scale_by_complex_adam`.

    Attributes:
      count: int32 (), steps taken.
      mu: complex momentum, as in `ComplexTraceState`.
      v: moving average of squared gradients, a tree like the parameters.
    """

    count: Any
    mu: Any
    v: optax.Updates


def scale_by_complex_adam(
    b1: float, b2: float, eps: float, angle: float
) -> optax.GradientTransformationExtraArgs:
    """The direction of `complex_adam`."""

    def init(params: optax.Params) -> ScaleByComplexAdamState:
        return ScaleByComplexAdamState(
            jnp.zeros((), jnp.int32), _complex_zeros(params), optax.tree.zeros_like(params)
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByComplexAdamState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        mu = _turned(state.mu, updates, b1, angle)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        v_hat = optax.tree.bias_correction(v, b2, count)
        scaled = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), _real(mu, updates), v_hat)
        return scaled, ScaleByComplexAdamState(count, mu, v)

    return optax.GradientTransformationExtraArgs(init, update)


def complex_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    angle: float = math.pi / 8,
) -> optax.GradientTransformationExtraArgs:
    """Complex Adam: Adam with complex momentum, without correction of its bias.

    With complex mu and v_hat = v / (1 - b2^t):

        beta = b1 exp(i angle)
        mu <- beta mu - g
        v <- b2 v + (1 - b2) g^2
        w <- w + lr Re(mu) / (sqrt(v_hat) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: magnitude of the momentum's decay.
      b2: decay of the average of squares.
      eps: added to the denominator.
      angle: the decay's argument, in radians.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = complex_adam(1e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Lorraine et al., "Complex Momentum for Optimization in Games", 2021, arXiv:2102.08431.

    Deviations:
      The authors' code was not available: mu is taken as a sum of gradients, without Adam's 1 - b1
      and the correction of its bias.
    """
    return optax.chain(
        scale_by_complex_adam(b1, b2, eps, angle),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="complex_momentum",
        name="Complex momentum",
        factory=complex_momentum,
        group="games",
        title="Complex Momentum for Optimization in Games",
        authors="Lorraine et al.",
        year=2021,
        arxiv="2102.08431",
        tuning=tuned(3.0),
        deviations="The learning rate is real; the paper's may be complex.",
        checked=("equations",),
    ),
    Baseline(
        id="complex_adam",
        name="Complex Adam",
        factory=complex_adam,
        group="games",
        title="Complex Momentum for Optimization in Games",
        authors="Lorraine et al.",
        year=2021,
        arxiv="2102.08431",
        tuning=tuned(0.03),
        deviations="The authors' code was not available: mu is taken as a sum of gradients, "
        "without Adam's 1 - b1 and the correction of its bias.",
        checked=("equations",),
    ),
)
