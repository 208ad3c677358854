"""AdaMod, whose step sizes may not exceed their own average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class AdaModState(NamedTuple):
    """State of `adamod`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v and s, a tree like the parameters.
      v: moving average of squares.
      s: moving average of step sizes.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    s: optax.Updates


def adamod(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """AdaMod: Adam with each coordinate's step size bounded by its average, which starts at zero.

    With c_t = sqrt(1 - b2^t) / (1 - b1^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        a = lr c_t / (sqrt(v) + eps)
        s <- b3 s + (1 - b3) a
        w <- w - min(a, s) m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      b3: decay of the step sizes' average.
      eps: added to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamod(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Ding et al., "An Adaptive and Momental Bound Method for Stochastic Learning", 2019,
      arXiv:1910.12249; lancopku/AdaMod.
    """

    def init(params: optax.Params) -> AdaModState:
        return AdaModState(jnp.zeros((), jnp.int32), *zeros_like(params, 3))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdaModState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        step = rate_at(learning_rate, state.count) * debiasing(b1, b2, count)
        a = jax.tree.map(lambda v: (step / (jnp.sqrt(v) + eps)).astype(v.dtype), v)
        s = optax.tree.update_moment(a, state.s, b3, 1)
        updates = jax.tree.map(lambda m, a, s: -jnp.minimum(a, s) * m, m, a, s)
        return updates, AdaModState(count, m, v, s)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="adamod",
        name="AdaMod",
        factory=adamod,
        group="adaptive",
        title="An Adaptive and Momental Bound Method for Stochastic Learning",
        authors="Ding et al.",
        year=2019,
        arxiv="1910.12249",
        test={"b3": 0.9},
        tuning=tuned(1.0),
        checked=("pytorch_optimizer 4.1.0", "torch-optimizer 0.3.0"),
    ),
)
