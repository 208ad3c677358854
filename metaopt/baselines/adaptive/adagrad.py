"""AdaGrad, which divides by the root of the sum of squared gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


class AdagradState(NamedTuple):
    """State of `scale_by_adagrad`.

    Attributes:
      s: sum of the squares of all gradients, a tree like the parameters.
    """

    s: optax.Updates


def scale_by_adagrad(
    initial_accumulator_value: float = 0.0, eps: float = 1e-10
) -> optax.GradientTransformation:
    """AdaGrad without its learning rate; see `adagrad`."""

    def init(params: optax.Params) -> AdagradState:
        return AdagradState(optax.tree.full_like(params, initial_accumulator_value))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdagradState]:
        del params
        s = jax.tree.map(lambda s, g: s + g**2, state.s, updates)
        return jax.tree.map(lambda g, s: g / (jnp.sqrt(s) + eps), updates, s), AdagradState(s)

    return optax.GradientTransformation(init, update)


def adagrad(
    learning_rate: optax.ScalarOrSchedule,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad with a diagonal matrix.

        s <- s + g^2
        w <- w - lr g / (sqrt(s) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      initial_accumulator_value: what s starts at.
      eps: added to the denominator, delta of the paper.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adagrad(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
      Optimization", 2011, JMLR 12. Optax's `adagrad` adds eps under the root instead.
    """
    return optax.chain(
        scale_by_adagrad(initial_accumulator_value, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="adagrad",
        name="AdaGrad",
        factory=adagrad,
        group="adaptive",
        title=("Adaptive Subgradient Methods for Online Learning and Stochastic Optimization"),
        authors="Duchi, Hazan, Singer",
        year=2011,
        link="jmlr.org/papers/v12/duchi11a.html",
        test_rate=0.1,
        tuning=tuned(1.0),
        checked=("torch 2.13.0",),
    ),
)
