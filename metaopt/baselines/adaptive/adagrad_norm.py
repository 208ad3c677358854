"""AdaGrad-Norm, AdaGrad with one step size for all coordinates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import inner, scalar_dtype


class AdagradNormState(NamedTuple):
    """State of `scale_by_adagrad_norm`.

    Attributes:
      b_squared: (), b0^2 plus the squared norms of all gradients.
    """

    b_squared: Any


def scale_by_adagrad_norm(b0: float = 0.1) -> optax.GradientTransformation:
    """AdaGrad-Norm without its learning rate; see `adagrad_norm`."""

    def init(params: optax.Params) -> AdagradNormState:
        return AdagradNormState(jnp.asarray(b0, scalar_dtype(params)) ** 2)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdagradNormState]:
        del params
        b_squared = state.b_squared + inner(updates, updates)
        scale = 1 / jnp.sqrt(b_squared)
        return (
            jax.tree.map(lambda g: (scale * g).astype(g.dtype), updates),
            AdagradNormState(b_squared),
        )

    return optax.GradientTransformation(init, update)


def adagrad_norm(
    learning_rate: optax.ScalarOrSchedule, *, b0: float = 0.1
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad-Norm: gradient descent with a step size that shrinks as gradients add up.

        b^2 <- b^2 + |g|^2
        w <- w - lr g / b

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b0: what b starts at, positive.

    Returns:
      The transformation.

    Raises:
      ValueError: b0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adagrad_norm(1.0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Ward, Wu, Bottou, "AdaGrad stepsizes: Sharp convergence over nonconvex landscapes", 2018,
      arXiv:1806.01811.
    """
    if isinstance(b0, int | float) and b0 <= 0:
        raise ValueError(f"adagrad_norm divides by b, which starts at b0 = {b0}: make it positive")
    return optax.chain(scale_by_adagrad_norm(b0), optax.scale_by_learning_rate(learning_rate))


ROWS = (
    Baseline(
        id="adagrad_norm",
        name="AdaGrad-Norm",
        factory=adagrad_norm,
        group="adaptive",
        title="AdaGrad stepsizes: Sharp convergence over nonconvex landscapes",
        authors="Ward, Wu, Bottou",
        year=2018,
        arxiv="1806.01811",
        test_rate=1.0,
        tuning=tuned(30.0),
        checked=("equations",),
    ),
)
