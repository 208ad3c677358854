"""AdEMAMix, Adam with a second, slow average of gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


def ademamix(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    alpha: float = 5.0,
    eps: float = 1e-8,
    *,
    num_steps: Any = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """AdEMAMix: a mixture of a fast and a slow average of gradients, for old ones still matter.

    At step t of T = num_steps, with hats for division by 1 - b^t:

        alpha_t = min(t / T, 1) alpha
        b3_t = min(exp(ln b1 ln b3 / ((1 - t / T) ln b3 + (t / T) ln b1)), b3)
        m <- b1 m + (1 - b1) g
        s <- b3_t s + (1 - b3_t) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr ((m_hat + alpha_t s) / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the fast average.
      b2: decay of the average of squares.
      b3: decay of the slow average, after its warm-up.
      alpha: weight of the slow average, after its warm-up.
      eps: added to the denominator.
      num_steps: T, over which alpha and b3 rise: in the paper, the length of the training. None:
        they are constant.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation: Optax's, with the warm-ups of the paper. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = ademamix(1e-3, num_steps=1000)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Pagliardini, Ablin, Grangier, "The AdEMAMix Optimizer: Better, Faster, Older", 2024,
      arXiv:2409.03137; apple/ml-ademamix.
    """

    def progress(count: Any) -> jax.Array:
        # Optax calls schedules with the steps taken before this one.
        return jnp.minimum((count + 1.0) / num_steps, 1)

    constant = num_steps is None
    slow = b3 if constant else lambda count: _risen_decay(b1, b3, progress(count))
    weight = alpha if constant else lambda count: alpha * progress(count)
    return optax.with_extra_args_support(
        optax.contrib.ademamix(learning_rate, b1, b2, slow, weight, eps, weight_decay=weight_decay)
    )


def _risen_decay(start: float, end: float, progress: jax.Array) -> jax.Array:
    """A decay on its way from start to end, whose half-life rises linearly."""
    log_start, log_end = jnp.log(start), jnp.log(end)
    log = log_start * log_end / ((1 - progress) * log_end + progress * log_start)
    return jnp.minimum(jnp.exp(log), end)


ROWS = (
    Baseline(
        id="ademamix",
        name="AdEMAMix",
        factory=ademamix,
        group="adaptive",
        title="The AdEMAMix Optimizer: Better, Faster, Older",
        authors="Pagliardini, Ablin, Grangier",
        year=2024,
        arxiv="2409.03137",
        needs=("params", "num_steps"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("heavyball 3.2.1", "pytorch_optimizer 4.1.0"),
    ),
)
