"""Yogi, whose second moment grows and shrinks by steps of bounded size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


class YogiState(NamedTuple):
    """State of `scale_by_yogi`.

    Attributes:
      m: moving average of gradients; like v, a tree like the parameters.
      v: what follows their squares.
    """

    m: optax.Updates
    v: optax.Updates


def scale_by_yogi(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    *,
    initial_accumulator_value: float = 1e-6,
) -> optax.GradientTransformation:
    """Yogi without its learning rate; see `yogi`."""

    def init(params: optax.Params) -> YogiState:
        return YogiState(
            optax.tree.zeros_like(params),
            optax.tree.full_like(params, initial_accumulator_value),
        )

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, YogiState]:
        del params
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = jax.tree.map(lambda v, g: v - (1 - b2) * jnp.sign(v - g**2) * g**2, state.v, updates)
        return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), m, v), YogiState(m, v)

    return optax.GradientTransformation(init, update)


def yogi(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    *,
    initial_accumulator_value: float = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """Yogi: Adam whose second moment changes by no more than the last squared gradient allows.

        m <- b1 m + (1 - b1) g
        v <- v - (1 - b2) sign(v - g^2) g^2
        w <- w - lr m / (sqrt(v) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: 1 minus the part of the last square by which v changes.
      eps: added to the denominator.
      initial_accumulator_value: what v starts at.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = yogi(0.01)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Zaheer et al., "Adaptive Methods for Nonconvex Optimization", 2018, NeurIPS.

    Deviations:
      v starts at a constant, where the paper's experiments start it at the squared gradient of a
      large batch. Optax's yogi starts m at that constant as well, and corrects biases.
    """
    return optax.chain(
        scale_by_yogi(b1, b2, eps, initial_accumulator_value=initial_accumulator_value),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="yogi",
        name="Yogi",
        factory=yogi,
        group="adaptive",
        title="Adaptive Methods for Nonconvex Optimization",
        authors="Zaheer et al.",
        year=2018,
        link=("papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html"),
        tuning=tuned(0.3),
        deviations=(
            "v starts at a constant, where the paper's experiments start it at the squared "
            "gradient of a large batch."
        ),
        checked=("equations",),
    ),
)
