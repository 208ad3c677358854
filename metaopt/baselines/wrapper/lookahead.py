"""Lookahead: slow weights that follow fast ones, once every few steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


class LookaheadState(NamedTuple):
    """State of `lookahead`.

    Attributes:
      count: int32 (), steps taken.
      slow: the slow weights, like the parameters.
      inner: of the fast optimizer.
    """

    count: Any
    slow: optax.Params
    inner: optax.OptState


def lookahead(
    inner: optax.GradientTransformation,
    *,
    sync_period: int = 5,
    slow_step_size: float = 0.5,
    reset_state: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Lookahead: k steps forward, 1 step back.

    With u the update of the inner optimizer, and the last two lines only every k-th step:

        w <- w + u
        slow <- slow + slow_step_size (w - slow)
        w <- slow

    Args:
      inner: the optimizer of the fast weights.
      sync_period: k.
      slow_step_size: alpha of the paper; 1 leaves the inner optimizer as it is.
      reset_state: whether the inner optimizer starts afresh from each new slow weights. The paper
        keeps its state unless told otherwise.

    Returns:
      The transformation. Its update needs the parameters, which are the fast weights.

    Raises:
      ValueError: `sync_period` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = lookahead(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", 2019, arXiv:1907.08610;
      michaelrzhang/lookahead.

    Deviations: none from the paper. `optax.lookahead` computes the same, but wants the parameters
    as pairs of fast and slow ones; here the slow ones are in the state.
    """
    if sync_period < 1:
        raise ValueError(f"sync_period must be at least 1, not {sync_period}")
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> LookaheadState:
        slow = jax.tree.map(jnp.copy, params)
        return LookaheadState(jnp.zeros((), jnp.int32), slow, inner.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, LookaheadState]:
        params = require_params(params, "lookahead")
        updates, fast_state = inner.update(updates, state.inner, params, **extra_args)
        count = optax.safe_increment(state.count)
        sync = (state.count + 1) % sync_period == 0

        def slow_step(slow: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
            return jnp.where(sync, slow + slow_step_size * (w + u - slow), slow).astype(slow.dtype)

        slow = jax.tree.map(slow_step, state.slow, params, updates)
        updates = jax.tree.map(lambda s, w, u: jnp.where(sync, s - w, u), slow, params, updates)
        if reset_state:
            fast_state = optax.tree.where(sync, inner.init(slow), fast_state)
        return updates, LookaheadState(count, slow, fast_state)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="lookahead",
        name="Lookahead",
        factory=lookahead,
        kind="wrapper",
        group="wrapper",
        title="Lookahead Optimizer: k steps forward, 1 step back",
        authors="Zhang et al.",
        year=2019,
        arxiv="1907.08610",
        needs=("params",),
        test={"sync_period": 2},
        test_rate=0.03,
        tuning=tuned(0.3),
        checked=("equations",),
    ),
)
