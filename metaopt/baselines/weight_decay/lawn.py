"""LAWN, which holds the norms of layers where they are after a while."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.trees import unzipped


class LAWNState(NamedTuple):
    """State of `lawn`.

    Attributes:
      count: int32 (), steps taken.
      norms: of each parameter the norm that it is held at, (); until then, that of the last step.
      inner: the inner optimizer's.
    """

    count: Any
    norms: optax.Params
    inner: optax.OptState


def matrices_and_kernels(params: optax.Params) -> Any:
    """True of arrays of two axes or more: weights, but neither biases nor normalizations."""
    return jax.tree.map(lambda w: w.ndim > 1, params)


def lawn(
    inner: optax.GradientTransformation,
    *,
    num_free: int = 1000,
    num_warmup: int = 0,
    constrained: Callable[[optax.Params], Any] = matrices_and_kernels,
) -> optax.GradientTransformationExtraArgs:
    """LAWN: after some free steps, every layer moves on the sphere of the norm that it then has.

    With u the inner optimizer's update, plain w <- w + u for num_free steps. From then on c is the
    norm of w after them, and

        u <- u min(1, k / num_warmup)        at the k-th constrained step
        u <- u - w <w, u> / |w|^2
        w <- c (w + u) / |w + u|

    Args:
      inner: the optimizer to wrap.
      num_free: steps before norms are held.
      num_warmup: constrained steps until updates have their full size again; 0 for all.
      constrained: parameters -> a tree that is True for what is held. The paper holds the layers of
        the last homogeneous part of a network, whose scale the logits follow.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: a number of steps is below zero.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = lawn(optax.adam(1e-3), num_free=100)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Gupta et al., "Logit Attenuating Weight Normalization", 2021, arXiv:2108.05839.

    Deviations: the authors' code was not available: that the inner optimizer's update is projected,
      and not the gradient that it sees, and that each array counts as a layer, are taken so here.
    """
    if num_free < 0 or num_warmup < 0:
        raise ValueError(
            f"lawn: num_free and num_warmup must be 0 or more, not {num_free} and {num_warmup}"
        )
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> LAWNState:
        return LAWNState(jnp.zeros((), jnp.int32), jax.tree.map(_norm, params), inner.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, LAWNState]:
        weights = require_params(params, "lawn")
        updates, inner_state = inner.update(updates, state.inner, params, **extra_args)
        held = state.count >= num_free
        constrained_steps = state.count + 1 - num_free

        def step(u: jax.Array, w: jax.Array, c: jax.Array, on: bool) -> tuple[jax.Array, ...]:
            if not on or w.size == 0:
                return u, c
            # Of a weight that is zero, c is zero as well: it stays.
            radial = jnp.sum(w * u) / jnp.maximum(jnp.sum(w * w), jnp.finfo(w.dtype).tiny)
            warmth = jnp.minimum(1, constrained_steps.astype(w.dtype) / max(num_warmup, 1))
            there = to_norm(w + warmth * (u - radial * w), c, eps=1e-30)
            u = jnp.where(held, there - w, u).astype(w.dtype)
            return u, jnp.where(held, c, _norm(w + u))

        stepped = jax.tree.map(step, updates, weights, state.norms, constrained(weights))
        steps, norms = unzipped(updates, stepped, 2)
        return steps, LAWNState(optax.safe_increment(state.count), norms, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _norm(w: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(w * w))


ROWS = (
    Baseline(
        id="lawn",
        name="LAWN",
        factory=lawn,
        kind="wrapper",
        group="weight_decay",
        title="Logit Attenuating Weight Normalization",
        authors="Gupta et al.",
        year=2021,
        arxiv="2108.05839",
        needs=("params",),
        test={"num_free": 3, "num_warmup": 2},
        test_rate=0.1,
        tuning=tuned(0.1),
        deviations=(
            "The authors' code was not available: that the inner optimizer's update is projected, "
            "and not the gradient that it sees, and that each array counts as a layer, are taken "
            "so here."
        ),
        checked=("equations",),
    ),
)
