"""LARS: each layer's learning rate in proportion to its weights over its gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


def lars(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: float = 0.0,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """LARS: SGD with momentum and a local learning rate for each layer.

    Of each array:

        r <- trust_coefficient |w| / (|g| + weight_decay |w| + eps)     1 if |w| or |g| is 0
        m <- momentum m + lr r (g + weight_decay w)
        w <- w - m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      weight_decay: coupled.
      trust_coefficient: how much a layer trusts its own rate: eta of the paper.
      eps: added to the denominator.
      momentum: decay of the sum of steps.
      nesterov: whether the step is that of Nesterov momentum.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = lars(1.0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      You et al., "Large Batch Training of Convolutional Networks", 2017, arXiv:1708.03888.

    Deviations: none from the paper, which has a layer where this has an array. `optax.lars` divides
    by |g + weight_decay w| instead, and is the same without decay.
    """

    def local(g: jax.Array, w: jax.Array) -> jax.Array:
        g_norm, w_norm = optax.safe_norm(g, 0.0), optax.safe_norm(w, 0.0)
        some = (g_norm > 0) & (w_norm > 0)
        below = jnp.where(some, g_norm + weight_decay * w_norm + eps, 1)
        ratio = jnp.where(some, trust_coefficient * w_norm / below, 1)
        return (ratio * (g + weight_decay * w)).astype(g.dtype)

    def scale(updates: optax.Updates, params: optax.Params | None) -> Any:
        return jax.tree.map(local, updates, require_params(params, "lars"))

    return optax.chain(
        optax.stateless(scale),
        optax.scale_by_learning_rate(learning_rate),
        optax.trace(momentum, nesterov),
    )


ROWS = (
    Baseline(
        id="lars",
        name="LARS",
        factory=lars,
        group="scaling_rule",
        title="Large Batch Training of Convolutional Networks",
        authors="You et al.",
        year=2017,
        arxiv="1708.03888",
        needs=("params",),
        test={"weight_decay": 0.001, "trust_coefficient": 0.02},
        test_rate=0.3,
        tuning=tuned(100.0, weight_decay=(1e-6, 0.01)),
        deviations=(
            "None from the paper, which has a layer where this has an array. optax.lars divides by "
            "|g + weight_decay w| instead, and is the same without decay."
        ),
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31", "torch-optimizer 0.3.0"),
    ),
)
