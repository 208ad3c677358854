"""Ranger21, AdamW with eight other techniques."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.periods import require_period
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles
from metaopt.baselines.shared.sums import total
from metaopt.baselines.shared.trees import zeros_like

_DEVIATIONS = (
    "Weight decay and norm loss act on every array; a slip in the authors' code has them act on "
    "the last one only. Its second normalization of gradients, which no longer changes them, and "
    "its maximum of v with zero are left out."
)

Units = tuple[int, ...]
"""The axes over which one unit of an array extends: all but that of the outputs."""


class Ranger21State(NamedTuple):
    """State of `ranger21`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of every other gradient, this step's among them; like all others, a tree
        like the parameters.
      previous: the same of the step before.
      v: moving average of squared gradients.
      slow: Lookahead's parameters.
    """

    count: Any
    m: optax.Updates
    previous: optax.Updates
    v: optax.Updates
    slow: optax.Params


def ranger21(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    num_steps: Any,
    warmup_steps: int | None = None,
    warmdown_start: float = 0.72,
    min_rate: float = 3e-5,
    clip: float = 0.01,
    weight_decay: float = 1e-4,
    norm_loss: float = 1e-4,
    softplus_beta: float = 50.0,
    lookahead_steps: int = 5,
    lookahead_alpha: float = 0.5,
    roles: RolesOf = flax_roles,
) -> optax.GradientTransformationExtraArgs:
    """Ranger21: clipped, centralized gradients, two momenta, three regularizers, and a schedule.

    ||x|| is the norm of each output's part of an array, n the number of parameters, and hats are
    for division by 1 - b^t:

        lr_t rises to lr in warmup_steps, and falls to min_rate from warmdown_start num_steps on
        g <- g min(1, clip max(||w||, 0.001) / ||g||)
        g <- g - mean(g) for each output
        g <- g / std(g) for each array
        v <- b2 v + (1 - b2) g^2
        m_t = b1^2 m_(t-2) + (1 - b1^2) g
        u = (2 m_t - m_(t-1)) / sqrt((1 + b2)^2 + b2^2)
        w <- w (1 - lr_t weight_decay / sqrt(sum(v_hat) / n))
        w <- w (1 - 2 lr_t norm_loss (1 - 1 / ||w||))
        w <- w - lr_t u_hat / softplus(sqrt(v_hat) + eps)
        every lookahead_steps: w <- lookahead_alpha w + (1 - lookahead_alpha) slow, slow <- w

    Args:
      learning_rate: a number, a scalar array or a schedule, which the one above multiplies.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to denominators.
      num_steps: length of the training.
      warmup_steps: default: 2 / (1 - b2), or 0.22 num_steps where that would be more than 0.45.
      warmdown_start: share of the training before the rate falls.
      min_rate: the last learning rate.
      clip: largest ratio of gradient and parameter norms.
      weight_decay: stable weight decay: relative to the mean second moment.
      norm_loss: strength of the pull of each output's norm towards one.
      softplus_beta: sharpness of softplus(x) = log(1 + exp(beta x)) / beta.
      lookahead_steps: period of Lookahead.
      lookahead_alpha: weight of the fast parameters in it.
      roles: parameters -> the role of each. Outputs are the last axis, but the first of an
        embedding; a vector counts as one.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: lookahead_steps is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = ranger21(1e-3, num_steps=1000)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wright, Demeure, "Ranger21: a synergistic deep learning optimizer", 2021,
      arXiv:2106.13731; lessw2020/Ranger21.

    Deviations:
      Weight decay and norm loss act on every array; a slip in the authors' code has them act on
      the last one only. Its second normalization of gradients, which no longer changes them, and
      its maximum of v with zero are left out.
    """
    require_period(lookahead_steps, "ranger21")
    if warmup_steps is None:
        warmup_steps = _default_warmup(b2, num_steps)

    def init(params: optax.Params) -> Ranger21State:
        w0 = jax.tree.map(jnp.copy, params)
        m, v, previous = zeros_like(params, 3)
        return Ranger21State(jnp.zeros((), jnp.int32), m, v, previous, w0)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Ranger21State]:
        del extra_args
        params = require_params(params, "ranger21")
        count: Any = optax.safe_increment(state.count)
        rate = _explore_exploit(
            rate_at(learning_rate, state.count),
            count,
            warmup_steps,
            warmdown_start,
            num_steps,
            min_rate,
        )
        of_role = roles(params)

        def processed(g: jax.Array, w: jax.Array, role: Role) -> jax.Array:
            unit = _unit(w, role)
            return _normalized(_centralized(_clipped(g, w, clip, unit), unit))

        gradients = jax.tree.map(processed, updates, params, of_role)
        v = optax.tree.update_moment(gradients, state.v, b2, 2)
        v_hat = optax.tree.bias_correction(v, b2, count)
        m = optax.tree.update_moment(gradients, state.previous, b1**2, 1)
        noise = jnp.sqrt((1 + b2) ** 2 + b2**2)
        u = jax.tree.map(lambda m, p: ((2 * m - p) / noise).astype(m.dtype), m, state.m)
        u_hat = optax.tree.bias_correction(u, b1, count)
        decay = _stable_decay(weight_decay, v_hat)
        merges = count % lookahead_steps == 0

        def step(
            w: jax.Array, role: Role, u: jax.Array, v: jax.Array, slow: jax.Array
        ) -> jax.Array:
            new = w * (1 - rate * decay)
            pull = 2 * norm_loss * (1 - 1 / (_norm(new, _unit(w, role)) + eps))
            new = new * (1 - rate * pull)
            new = new - rate * u / _softplus(jnp.sqrt(v) + eps, softplus_beta)
            merged = lookahead_alpha * new + (1 - lookahead_alpha) * slow
            return jnp.where(merges, merged, new).astype(w.dtype)

        new = jax.tree.map(step, params, of_role, u_hat, v_hat, state.slow)
        slow = optax.tree.where(merges, new, state.slow)
        return optax.tree.sub(new, params), Ranger21State(count, m, state.m, v, slow)

    return optax.GradientTransformationExtraArgs(init, update)


def _default_warmup(b2: float, num_steps: Any) -> Any:
    """Steps of the warm-up that Adam needs, unless the training is too short for them."""
    untuned = jnp.ceil(2 / (1 - b2))
    return jnp.where(untuned > 0.45 * num_steps, jnp.floor(0.22 * num_steps), untuned)


def _explore_exploit(
    rate: Any, step: jax.Array, warmup: Any, warmdown_start: float, num_steps: Any, min_rate: float
) -> jax.Array:
    """The learning rate of a step, counted from 1: linearly up, flat, linearly down."""
    up = rate * jnp.minimum(step / jnp.maximum(warmup, 1.0), 1)
    start = jnp.floor(warmdown_start * num_steps)
    progress = jnp.minimum((step + 1.0 - start) / (num_steps - start + 1), 1)
    down = jnp.maximum(rate - (rate - min_rate) * progress, min_rate)
    return jnp.where(step < start, up, down)


def _unit(x: jax.Array, role: Role) -> Units:
    """The axes of one output's part of an array; all of a vector's."""
    if x.ndim < 2:
        return tuple(range(x.ndim))
    return tuple(range(1, x.ndim)) if role == "embedding" else tuple(range(x.ndim - 1))


def _norm(x: jax.Array, unit: Units) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=unit, keepdims=True))


def _clipped(g: jax.Array, w: jax.Array, ratio: float, unit: Units) -> jax.Array:
    """Adaptive gradient clipping: no unit's gradient is larger than `ratio` times the unit."""
    largest = ratio * jnp.maximum(_norm(w, unit), 1e-3)
    norm = _norm(g, unit)
    return jnp.where(norm > largest, g * largest / jnp.maximum(norm, 1e-6), g)


def _centralized(g: jax.Array, unit: Units) -> jax.Array:
    """Gradient centralization: every output's gradient sums to zero."""
    return g if g.ndim < 2 or g.size == 0 else g - jnp.mean(g, axis=unit, keepdims=True)


def _normalized(g: jax.Array) -> jax.Array:
    """Gradient normalization: each array's gradient has the standard deviation one."""
    return g if g.size < 3 else g / (jnp.std(g, ddof=1) + 1e-8)


def _stable_decay(weight_decay: float, v_hat: optax.Updates) -> jax.Array:
    """Weight decay over the root of the mean second moment; none while that is zero."""
    count = sum(v.size for v in jax.tree.leaves(v_hat))
    typical = jnp.sqrt(total(v_hat) / max(count, 1))
    return jnp.where(typical > 0, weight_decay / jnp.where(typical > 0, typical, 1), 0)


def _softplus(x: jax.Array, beta: float) -> jax.Array:
    return jax.nn.softplus(beta * x) / beta


ROWS = (
    Baseline(
        id="ranger21",
        name="Ranger21",
        factory=ranger21,
        group="adaptive",
        title="Ranger21: a synergistic deep learning optimizer",
        authors="Wright, Demeure",
        year=2021,
        arxiv="2106.13731",
        needs=("params", "num_steps", "roles"),
        test={"warmup_steps": 2, "lookahead_steps": 2},
        test_rate=0.03,
        tuning=tuned(1.0),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
)
