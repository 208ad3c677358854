"""LaProp, which averages scaled gradients instead of scaling averaged ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import zeros_like


class LaPropState(NamedTuple):
    """State of `scale_by_laprop`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of scaled gradients; like v, a tree like the parameters.
      v: moving average of squares.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def scale_by_laprop(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-15
) -> optax.GradientTransformation:
    """LaProp without its learning rate; see `laprop`."""

    def init(params: optax.Params) -> LaPropState:
        return LaPropState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, LaPropState]:
        del params
        count = optax.safe_increment(state.count)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        v_hat = optax.tree.bias_correction(v, b2, count)
        scaled = jax.tree.map(lambda g, v: g / (jnp.sqrt(v) + eps), updates, v_hat)
        m = optax.tree.update_moment(scaled, state.m, b1, 1)
        return optax.tree.bias_correction(m, b1, count), LaPropState(count, m, v)

    return optax.GradientTransformation(init, update)


def laprop(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-15,
) -> optax.GradientTransformationExtraArgs:
    """LaProp: momentum of gradients that are scaled first, so that no step is ever large.

        v <- b2 v + (1 - b2) g^2
        v_hat = v / (1 - b2^t)
        m <- b1 m + (1 - b1) g / (sqrt(v_hat) + eps)
        w <- w - lr m / (1 - b1^t)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the scaled gradients' average.
      b2: decay of the squares' average.
      eps: added to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = laprop(4e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Ziyin, Wang, Ueda, "LaProp: Separating Momentum and Adaptivity in Adam", 2020,
      arXiv:2002.04839; Z-T-WANG/LaProp-Optimizer.

    Deviations:
      A schedule multiplies the step; the authors' code averages its values with the gradients.
    """
    return optax.chain(scale_by_laprop(b1, b2, eps), optax.scale_by_learning_rate(learning_rate))


ROWS = (
    Baseline(
        id="laprop",
        name="LaProp",
        factory=laprop,
        group="adaptive",
        title="LaProp: Separating Momentum and Adaptivity in Adam",
        authors="Ziyin, Wang, Ueda",
        year=2020,
        arxiv="2002.04839",
        tuning=tuned(0.3),
        deviations=(
            "A schedule multiplies the step; the authors' code averages its values with the "
            "gradients."
        ),
        checked=("heavyball 3.2.1", "pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
