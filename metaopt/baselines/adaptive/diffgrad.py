"""diffGrad, which slows down where gradients stop changing."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.trees import zeros_like


class DiffGradState(NamedTuple):
    """State of `scale_by_diffgrad`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v and previous, a tree like the parameters.
      v: moving average of squares.
      previous: the last gradient.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    previous: optax.Updates


def scale_by_diffgrad(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """The method without its learning rate; see `diffgrad`."""

    def init(params: optax.Params) -> DiffGradState:
        return DiffGradState(jnp.zeros((), jnp.int32), *zeros_like(params, 3))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, DiffGradState]:
        del params
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        unbias = debiasing(b1, b2, count)

        def direction(g: jax.Array, previous: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            friction = jax.nn.sigmoid(jnp.abs(previous - g))
            return (unbias * friction * m / (jnp.sqrt(v) + eps)).astype(g.dtype)

        directions = jax.tree.map(direction, updates, state.previous, m, v)
        previous = optax.tree.cast_like(updates, state.previous)
        return directions, DiffGradState(count, m, v, previous)

    return optax.GradientTransformation(init, update)


def diffgrad(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """diffGrad: Adam with a friction of 1/2 where the gradient stays, of 1 where it jumps.

    With g_0 = 0 and c_t = sqrt(1 - b2^t) / (1 - b1^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        xi = 1 / (1 + exp(-|g_{t-1} - g_t|))
        w <- w - lr c_t xi m / (sqrt(v) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = diffgrad(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Dubey et al., "diffGrad: An Optimization Method for Convolutional Neural Networks", 2019,
      arXiv:1909.11015; shivram1987/diffGrad, diffGrad_v2.py.
    """
    return optax.chain(scale_by_diffgrad(b1, b2, eps), optax.scale_by_learning_rate(learning_rate))


ROWS = (
    Baseline(
        id="diffgrad",
        name="diffGrad",
        factory=diffgrad,
        group="adaptive",
        title="diffGrad: An Optimization Method for Convolutional Neural Networks",
        authors="Dubey et al.",
        year=2019,
        arxiv="1909.11015",
        tuning=tuned(0.3),
        checked=("equations",),
    ),
)
