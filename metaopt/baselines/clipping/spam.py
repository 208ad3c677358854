"""SPAM: Adam that clips spikes of the gradient and forgets its moments from time to time."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class SpamState(NamedTuple):
    """State of `spam`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients since the last reset, a tree like the parameters.
      v: moving average of squared gradients, likewise.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def spam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    threshold: float = 5000.0,
    reset_every: int = 500,
    warmup_steps: int = 150,
    clip_after: int = 20,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """SPAM: spike-aware Adam with momentum reset.

    With s = t mod reset_every, the steps since the last reset:

        if s = 0:           m, v <- 0
        if s >= clip_after: g <- sign(g) min(|g|, sqrt(threshold v))
        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        u = sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
        c = 1 - 0.99 (1 + cos(pi s / (warmup_steps + 1))) / 2 for warmup_steps after a reset, else 1
        w <- (1 - lr weight_decay) (w - lr c u)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of gradients.
      b2: decay of the average of squares.
      eps: added to the denominator.
      threshold: how much larger than its average a square may be.
      reset_every: steps from reset to reset.
      warmup_steps: steps after a reset in which the learning rate comes back.
      clip_after: steps after a reset, and at the start, before clipping sets in. What has had no
        gradient by then has none until the next reset.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: reset_every or warmup_steps are impossible.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = spam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Huang et al., "SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM Training", 2025,
      arXiv:2501.06842; TianjinYellow/SPAM-Optimizer.

    Deviations:
      The moments are those of all parameters; the sparse ones, with which the paper saves memory,
      are left out.
    """
    if reset_every < 1:
        raise ValueError(f"reset_every is {reset_every}: choose one step or more")
    if warmup_steps < 0:
        raise ValueError(f"warmup_steps is {warmup_steps}: choose none, 0, or more")

    def init(params: optax.Params) -> SpamState:
        return SpamState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SpamState]:
        del extra_args
        params = require_params(params, "spam")
        t: Any = optax.safe_increment(state.count)
        since = t % reset_every
        rate = rate_at(learning_rate, state.count)

        def clipped(g: jax.Array, v: jax.Array) -> jax.Array:
            limit = jnp.sqrt(threshold * v).astype(g.dtype)
            return jnp.where(since >= clip_after, jnp.clip(g, -limit, limit), g)

        m, v = (
            jax.tree.map(lambda x: jnp.where(since == 0, jnp.zeros_like(x), x), moment)
            for moment in (state.m, state.v)
        )
        g = jax.tree.map(clipped, updates, v)
        m = optax.tree.update_moment(g, m, b1, 1)
        v = optax.tree.update_moment(g, v, b2, 2)
        unbias = debiasing(b1, b2, t)
        anneal = 0.99 * (1 + jnp.cos(jnp.pi * since / (warmup_steps + 1))) / 2
        warming = (t >= reset_every) & (since < warmup_steps)
        scale = rate * unbias * jnp.where(warming, 1 - anneal, 1)

        def step(w: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            ahead = w - scale * m / (jnp.sqrt(v) + eps)
            return ((1 - rate * weight_decay) * ahead - w).astype(w.dtype)

        return jax.tree.map(step, params, m, v), SpamState(t, m, v)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="spam",
        name="SPAM",
        factory=spam,
        group="clipping",
        title="SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM Training",
        authors="Huang et al.",
        year=2025,
        arxiv="2501.06842",
        needs=("params",),
        test={"threshold": 2.0, "reset_every": 4, "warmup_steps": 2, "clip_after": 2},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations="The moments are those of all parameters; the sparse ones, with which the paper "
        "saves memory, are left out.",
        checked=("equations",),
    ),
)
