"""SGDW: SGD with momentum, and weight decay outside of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at


class SgdwState(NamedTuple):
    """State of `sgdw`.

    Attributes:
      count: int32 (), steps taken.
      m: momentum, like the parameters.
    """

    count: Any
    m: optax.Updates


def sgdw(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    weight_decay: float = 1e-4,
) -> optax.GradientTransformationExtraArgs:
    """SGDW: momentum of gradients alone, decay of the weights alone.

        m <- momentum m + lr g
        w <- w - m - lr weight_decay w

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the sum of steps.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sgdw(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017, arXiv:1711.05101.

    Deviations: the decay is multiplied by the learning rate, in the paper only by its schedule, as
    everyone else has it too.
    """

    def init(params: optax.Params) -> SgdwState:
        return SgdwState(jnp.zeros((), jnp.int32), optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SgdwState]:
        del extra_args
        params = require_params(params, "sgdw")
        rate = rate_at(learning_rate, state.count)
        m = jax.tree.map(lambda m, g: (momentum * m + rate * g).astype(m.dtype), state.m, updates)
        updates = jax.tree.map(
            lambda m, w: (-m - rate * weight_decay * w).astype(w.dtype), m, params
        )
        return updates, SgdwState(optax.safe_increment(state.count), m)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="sgdw",
        name="SGDW",
        factory=sgdw,
        group="weight_decay",
        title="Decoupled Weight Decay Regularization",
        authors="Loshchilov, Hutter",
        year=2017,
        arxiv="1711.05101",
        needs=("params",),
        test_rate=0.03,
        tuning=tuned(3.0, weight_decay=(1e-6, 0.1)),
        deviations=(
            "The decay is multiplied by the learning rate, in the paper only by its schedule, as "
            "everyone else has it too."
        ),
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
