"""AdaBound and AMSBound, which turn from Adam into SGD by bounding their step sizes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class AdaBoundState(NamedTuple):
    """State of `adabound` and `amsbound`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v and v_max, a tree like the parameters.
      v: moving average of squares.
      v_max: the largest v so far, of AMSBound; None of AdaBound.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    v_max: Any


def adabound(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    final_learning_rate: float = 0.1,
    gamma: float = 1e-3,
) -> optax.GradientTransformationExtraArgs:
    """AdaBound: Adam with each coordinate's step size between bounds that close in on SGD's.

    With c_t = sqrt(1 - b2^t) / (1 - b1^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        low = lr_final (1 - 1 / (gamma t + 1))
        high = lr_final (1 + 1 / (gamma t))
        w <- w - clip(lr c_t / (sqrt(v) + eps), low, high) m

    Args:
      learning_rate: Adam's: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      final_learning_rate: SGD's, lr_final at the start; it follows a schedule as Adam's does.
      gamma: speed at which the bounds close in.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adabound(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Luo et al., "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", 2019,
      arXiv:1902.09843; Luolc/AdaBound.

    Deviations:
      As in the authors' code, moments are corrected and the step size is not divided by sqrt(t);
      the paper's algorithm divides and does not correct.
    """
    return _bounded_adam(learning_rate, b1, b2, eps, final_learning_rate, gamma, largest=False)


def amsbound(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    final_learning_rate: float = 0.1,
    gamma: float = 1e-3,
) -> optax.GradientTransformationExtraArgs:
    """AMSBound: AdaBound whose denominator never shrinks.

    With c_t = sqrt(1 - b2^t) / (1 - b1^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        v_max <- max(v_max, v)
        low = lr_final (1 - 1 / (gamma t + 1))
        high = lr_final (1 + 1 / (gamma t))
        w <- w - clip(lr c_t / (sqrt(v_max) + eps), low, high) m

    Args:
      learning_rate: Adam's: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      final_learning_rate: SGD's, lr_final at the start; it follows a schedule as Adam's does.
      gamma: speed at which the bounds close in.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = amsbound(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Luo et al., "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", 2019,
      arXiv:1902.09843; Luolc/AdaBound.

    Deviations:
      As in the authors' code, moments are corrected and the step size is not divided by sqrt(t);
      the paper's algorithm divides and does not correct.
    """
    return _bounded_adam(learning_rate, b1, b2, eps, final_learning_rate, gamma, largest=True)


def _bounded_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float,
    eps: float,
    final_learning_rate: float,
    gamma: float,
    *,
    largest: bool,
) -> optax.GradientTransformationExtraArgs:
    def init(params: optax.Params) -> AdaBoundState:
        m, v, v_max = zeros_like(params, 3)
        return AdaBoundState(jnp.zeros((), jnp.int32), m, v, v_max if largest else None)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdaBoundState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        v_max = jax.tree.map(jnp.maximum, state.v_max, v) if largest else None
        step = rate_at(learning_rate, state.count) * debiasing(b1, b2, count)
        final = final_learning_rate * _relative(learning_rate, state.count)
        low = final * (1 - 1 / (gamma * count + 1))
        high = final * (1 + 1 / (gamma * count))

        def descend(m: jax.Array, v: jax.Array) -> jax.Array:
            return (-jnp.clip(step / (jnp.sqrt(v) + eps), low, high) * m).astype(m.dtype)

        updates = jax.tree.map(descend, m, v_max if largest else v)
        return updates, AdaBoundState(count, m, v, v_max)

    return optax.GradientTransformationExtraArgs(init, update)


def _relative(learning_rate: optax.ScalarOrSchedule, count: jax.Array) -> Any:
    """A schedule's value over its first, which bounds follow as in the authors' code."""
    if not callable(learning_rate):
        return 1
    first = learning_rate(jnp.zeros_like(count))
    # A warm-up from zero has no first value to compare with.
    return jnp.where(first == 0, 1, learning_rate(count) / jnp.where(first == 0, 1, first))


_DEVIATIONS = (
    "As in the authors' code, moments are corrected and the step size is not divided by sqrt(t); "
    "the paper's algorithm divides and does not correct."
)

ROWS = (
    Baseline(
        id="adabound",
        name="AdaBound",
        factory=adabound,
        group="adaptive",
        title="Adaptive Gradient Methods with Dynamic Bound of Learning Rate",
        authors="Luo et al.",
        year=2019,
        arxiv="1902.09843",
        test={"gamma": 0.3},
        tuning=tuned(0.3),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
    Baseline(
        id="amsbound",
        name="AMSBound",
        factory=amsbound,
        group="adaptive",
        title="Adaptive Gradient Methods with Dynamic Bound of Learning Rate",
        authors="Luo et al.",
        year=2019,
        arxiv="1902.09843",
        test={"gamma": 0.3},
        tuning=tuned(0.3),
        deviations=_DEVIATIONS,
        checked=("adabound 0.0.5", "pytorch_optimizer 4.1.0"),
    ),
)
