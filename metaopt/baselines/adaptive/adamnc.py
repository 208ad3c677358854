"""AdamNC, whose second moment weighs all gradients alike."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import zeros_like


class AdamNCState(NamedTuple):
    """State of `scale_by_adamnc`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v, a tree like the parameters.
      v: mean of the squares of all gradients.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def scale_by_adamnc(
    b1: float = 0.9, eps: float = 1e-8, *, b1_decay: float = 1 - 1e-8
) -> optax.GradientTransformation:
    """AdamNC without its learning rate; see `adamnc`."""

    def init(params: optax.Params) -> AdamNCState:
        return AdamNCState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdamNCState]:
        del params
        count = optax.safe_increment(state.count)
        b1_t = b1 * b1_decay**state.count
        b2_t = 1 - 1.0 / count
        m = optax.tree.update_moment(updates, state.m, b1_t, 1)
        v = optax.tree.update_moment(updates, state.v, b2_t, 2)
        m, v = optax.tree.cast_like(m, state.m), optax.tree.cast_like(v, state.v)
        rate = count**-0.5
        direction = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(v) + eps), m, v)
        return optax.tree.cast_like(direction, updates), AdamNCState(count, m, v)

    return optax.GradientTransformation(init, update)


def adamnc(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    eps: float = 1e-8,
    *,
    b1_decay: float = 1 - 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """AdamNC: Adam with decays of the moments, and a step size, that depend on the step.

    At step t = 1, 2, ..., with b1_t = b1 b1_decay^(t-1) and b2_t = 1 - 1/t:

        m <- b1_t m + (1 - b1_t) g
        v <- b2_t v + (1 - b2_t) g^2
        w <- w - lr / sqrt(t) m / (sqrt(v) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule; divided by sqrt(t).
      b1: decay of the gradient's average at the first step.
      eps: added to the denominator.
      b1_decay: factor of b1 from step to step, lambda of the paper; the default is that of Adam.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamnc(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Reddi, Kale, Kumar, "On the Convergence of Adam and Beyond", 2018, arXiv:1904.09237.

    Deviations:
      eps keeps the denominator from zero; the paper has none.
    """
    return optax.chain(
        scale_by_adamnc(b1, eps, b1_decay=b1_decay), optax.scale_by_learning_rate(learning_rate)
    )


ROWS = (
    Baseline(
        id="adamnc",
        name="AdamNC",
        factory=adamnc,
        group="adaptive",
        title="On the Convergence of Adam and Beyond",
        authors="Reddi, Kale, Kumar",
        year=2018,
        arxiv="1904.09237",
        test={"b1_decay": 0.9},
        test_rate=0.3,
        tuning=tuned(3.0),
        deviations="eps keeps the denominator from zero; the paper has none.",
        checked=("equations",),
    ),
)
