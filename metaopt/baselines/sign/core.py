"""CoRe, continual and resilient: Rprop's step sizes, Adam's averages, and what should be kept."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class CoreState(NamedTuple):
    """State of `core`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters.
      v: moving average of squared gradients, likewise.
      step: step size of each coordinate, likewise.
      score: how much each coordinate has lately brought, likewise; None if nothing is frozen.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    step: optax.Updates
    score: Any


def core(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.7375,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    final_b1: float = 0.8125,
    b1_steps: float = 250.0,
    eta_minus: float = 0.7375,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 1e-2,
    weight_decay: float = 0.1,
    score_history: int = 0,
    frozen: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """CoRe: the continual resilient optimizer.

    From s = lr, with h = score_history and hats for division by 1 - a^t and 1 - b2^t:

        a = final_b1 + (b1 - final_b1) exp(-((t - 1) / b1_steps)^2)
        m' = a m + (1 - a) g
        v <- b2 v + (1 - b2) g^2
        P = 0 where t > h and the score S is among its array's largest, 1 elsewhere
        s <- clip(s eta_plus where m m' P > 0, s eta_minus where m m' P < 0, s elsewhere)
        u = P s m'_hat / (sqrt(v_hat) + eps)
        S <- S + m' u / h while t <= h, then (1 - 1/h) S + m' u / h
        w <- (1 - weight_decay |u|) w - u
        m <- m'

    Args:
      learning_rate: the first step size: a number, a scalar array, or a schedule, of which only
        the first value counts.
      b1: decay of the average of gradients at the start.
      b2: decay of the average of squares.
      eps: added to the denominator.
      final_b1: decay of the average of gradients in the end.
      b1_steps: in how many steps it goes there.
      eta_minus: factor of the step size where the average's sign has changed.
      eta_plus: factor of the step size where it has not.
      min_step_size: the least step size.
      max_step_size: the largest step size: 1e-3 for small batches, 1 for whole ones.
      weight_decay: relative to the step.
      score_history: steps before the first freezing, over which scores are averaged; 0 for none.
      frozen: share of each array's coordinates that are frozen.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: coordinates are to be frozen without scores, or their share is not in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = core(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Eckhoff, Reiher, "CoRe Optimizer: An All-in-One Solution for Machine Learning", 2023,
      arXiv:2307.15663; ReiherGroup/CoRe_optimizer.

    Deviations:
      The frozen are exactly as many as there should be, or more among equals; the authors' code
      freezes what is within 1e-6 of their least, too. The variant with the average's sign, which
      their code takes for a negative b2, is left out.
    """
    if isinstance(frozen, int | float) and not 0 <= frozen <= 1:
        raise ValueError(f"frozen is {frozen}, the share of an array: choose one in [0, 1]")
    if isinstance(score_history, int) and score_history < 1 and frozen > 0:
        raise ValueError("frozen needs scores: choose a score_history of one step or more")

    def init(params: optax.Params) -> CoreState:
        count = jnp.zeros((), jnp.int32)
        m, v, score = zeros_like(params, 3)
        step = optax.tree.full_like(params, rate_at(learning_rate, count))
        return CoreState(count, m, v, step, score if frozen > 0 else None)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, CoreState]:
        del extra_args
        params = require_params(params, "core")
        t: Any = optax.safe_increment(state.count)
        decay = final_b1 + (b1 - final_b1) * jnp.exp(-((state.count / b1_steps) ** 2))

        def plastic(score: jax.Array) -> jax.Array:
            free = jnp.ones_like(score)
            largest = int(frozen * score.size)
            if largest == 0:
                return free
            least = jax.lax.top_k(score.ravel(), largest)[0][-1]
            return jnp.where((t > score_history) & (score >= least), 0, free)

        def average(g: jax.Array, m: jax.Array) -> jax.Array:
            return ((1 - decay) * g + decay * m).astype(m.dtype)

        def resize(s: jax.Array, agree: jax.Array) -> jax.Array:
            factor = jnp.where(agree > 0, eta_plus, jnp.where(agree < 0, eta_minus, 1))
            return jnp.clip(s * factor, min_step_size, max_step_size).astype(s.dtype)

        def scored(score: jax.Array, m: jax.Array, u: jax.Array) -> jax.Array:
            kept = jnp.where(t > score_history, 1 - 1 / score_history, 1)
            return (kept * score + m * u / score_history).astype(score.dtype)

        m = jax.tree.map(average, updates, state.m)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        m_hat = optax.tree.bias_correction(m, decay, t)
        v_hat = optax.tree.bias_correction(v, b2, t)
        agree = jax.tree.map(lambda p, m: jnp.sign(p) * jnp.sign(m), state.m, m)
        free = optax.tree.ones_like(m)
        if state.score is not None:
            free = jax.tree.map(plastic, state.score)
        step = jax.tree.map(lambda s, a, p: resize(s, a * p), state.step, agree, free)
        u = jax.tree.map(
            lambda p, s, m, v: p * s * m / (jnp.sqrt(v) + eps), free, step, m_hat, v_hat
        )
        score = None if state.score is None else jax.tree.map(scored, state.score, m, u)

        def change(u: jax.Array, w: jax.Array) -> jax.Array:
            return (-u - weight_decay * jnp.abs(u) * w).astype(w.dtype)

        return jax.tree.map(change, u, params), CoreState(t, m, v, step, score)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="core",
        name="CoRe",
        factory=core,
        group="sign",
        title="CoRe Optimizer: An All-in-One Solution for Machine Learning",
        authors="Eckhoff, Reiher",
        year=2023,
        arxiv="2307.15663",
        needs=("params",),
        test={"b1_steps": 3.0, "max_step_size": 0.1, "score_history": 2, "frozen": 0.25},
        tuning=tuned(0.1, max_step_size=(1e-3, 1.0)),
        deviations="The frozen are exactly as many as there should be, or more among equals; the "
        "authors' code freezes what is within 1e-6 of their least, too. The variant with the "
        "average's sign, which their code takes for a negative b2, is left out.",
        checked=("equations",),
    ),
)
