"""Aggressive stochastic weight averaging: of every iterate, handed back at each epoch's end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


class AswaState(NamedTuple):
    """State of `aswa` and `naswa`.

    Attributes:
      count: int32 (), steps taken.
      averaged: int32 (), iterates in the average.
      average: of iterates, like the parameters.
      norms: of `naswa`, the list L; of `aswa`, empty.
      inner: of the inner optimizer.
    """

    count: Any
    averaged: jax.Array
    average: optax.Params
    norms: Any
    inner: optax.OptState


class Norms(NamedTuple):
    """A list of norms, as far as its mean needs it.

    Attributes:
      total: (), their sum.
      count: int32 (), how many they are.
    """

    total: jax.Array
    count: Any


def aswa(
    inner: optax.GradientTransformation,
    *,
    period: int = 100,
) -> optax.GradientTransformationExtraArgs:
    """ASWA: the mean of all iterates becomes the weights at the end of each epoch.

    With u the update of the inner optimizer, and the last line only every `period` steps:

        w <- w + u
        average <- average + (w - average) / (n + 1);  n <- n + 1
        w, average <- average, w

    Args:
      inner: the optimizer that makes the iterates.
      period: steps of an epoch.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `period` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = aswa(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Madhyastha and Jain, "On Model Stability as a Function of Random Seed", 2019,
      arXiv:1909.10447; rishj97/ModelStability.

    Deviations: an iterate is averaged when it is made; the authors' code does it a step later and
    leaves out an epoch's last one. That average and weights change places, and n stays, is theirs.
    """
    return _averaged(inner, period, lambda params: (), lambda away, norms: (True, norms), "aswa")


def naswa(
    inner: optax.GradientTransformation,
    *,
    period: int = 100,
) -> optax.GradientTransformationExtraArgs:
    """NASWA: ASWA of those iterates only that went far from the average.

    With u the update of the inner optimizer, L a list of norms, mean() = 0, and the last line only
    every `period` steps:

        w <- w + u;  d = |w - average|
        if d > mean(L):  average <- average + (w - average) / (n + 1);  n <- n + 1;  L <- (d)
        else:            L <- L + (d)
        w, average <- average, w;  L <- ()

    Args:
      inner: the optimizer that makes the iterates.
      period: steps of an epoch.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `period` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = naswa(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Madhyastha and Jain, "On Model Stability as a Function of Random Seed", 2019,
      arXiv:1909.10447; rishj97/ModelStability.

    Deviations: the norm is of all parameters together, where the authors' code takes the mean of
    two chosen matrices' norms; and as in `aswa`.
    """

    def no_norms(params: optax.Params) -> Norms:
        dtype = jax.eval_shape(optax.tree.norm, params).dtype
        return Norms(jnp.zeros((), dtype), jnp.zeros((), jnp.int32))

    def passes(away: optax.Params, norms: Any) -> tuple[jax.Array, Norms]:
        norm = optax.tree.norm(away)
        far = norm > norms.total / jnp.maximum(norms.count, 1)
        total = jnp.where(far, norm, norms.total + norm).astype(norms.total.dtype)
        return far, Norms(total, jnp.where(far, 1, norms.count + (norm > 0)))

    return _averaged(inner, period, no_norms, passes, "naswa")


def _averaged(
    inner: optax.GradientTransformation,
    period: int,
    no_norms: Callable[[optax.Params], Any],
    passes: Callable[[optax.Params, Any], tuple[Any, Any]],
    method: str,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of which those iterates are averaged that pass.

    Args:
      inner: the optimizer.
      period: steps of an epoch.
      no_norms: parameters -> an empty list.
      passes: (iterate - average, list) -> whether it is averaged, and the new list.
      method: for errors.
    """
    if period < 1:
        raise ValueError(f"period must be at least 1, not {period}")
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> AswaState:
        count, averaged = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        mean = jax.tree.map(jnp.copy, params)
        return AswaState(count, averaged, mean, no_norms(params), inner.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AswaState]:
        params = require_params(params, method)
        updates, inner_state = inner.update(updates, state.inner, params, **extra_args)
        count = optax.safe_increment(state.count)
        ahead = optax.tree.add(params, updates)

        # The first iterate is the average, and at no distance from it.
        average = optax.tree.where(state.averaged == 0, ahead, state.average)
        away = optax.tree.sub(ahead, average)
        passed, norms = passes(away, state.norms)
        averaged = state.averaged + jnp.where(state.averaged == 0, 1, passed)
        average = jax.tree.map(
            lambda a, d: (a + jnp.where(passed, d / averaged, 0)).astype(a.dtype), average, away
        )

        swap = (state.count + 1) % period == 0
        updates = optax.tree.where(swap, optax.tree.sub(average, params), updates)
        average = optax.tree.where(swap, ahead, average)
        norms = optax.tree.where(swap, no_norms(ahead), norms)
        return updates, AswaState(count, averaged, average, norms, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


_PAPER: dict[str, Any] = {
    "kind": "wrapper",
    "group": "wrapper",
    "title": "On Model Stability as a Function of Random Seed",
    "authors": "Madhyastha and Jain",
    "year": 2019,
    "arxiv": "1909.10447",
    "needs": ("params",),
    "test": {"period": 3},
    "test_rate": 0.1,
    "tuning": tuned(0.3),
    "checked": ("equations",),
}

ROWS = (
    Baseline(
        id="aswa",
        name="ASWA",
        factory=aswa,
        deviations=(
            "An iterate is averaged when it is made; the authors' code does it a step later and "
            "leaves out an epoch's last one. That average and weights change places, and n stays, "
            "is theirs."
        ),
        **_PAPER,
    ),
    Baseline(
        id="naswa",
        name="NASWA",
        factory=naswa,
        deviations=(
            "The norm is of all parameters together, where the authors' code takes the mean of two "
            "chosen matrices' norms; and as in aswa."
        ),
        **_PAPER,
    ),
)
