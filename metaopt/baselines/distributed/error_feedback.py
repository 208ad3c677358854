"""Error feedback: what compression leaves out of a gradient is added to the next one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned

Compressor = Callable[[jax.Array], jax.Array]
"""array -> what is sent of it, decompressed: an array of the same shape."""


class ErrorFeedbackState(NamedTuple):
    """State of `error_feedback`.

    Attributes:
      error: what was not sent yet, like the parameters.
      inner: of the inner optimizer.
    """

    error: optax.Updates
    inner: optax.OptState


def top_k(fraction: float) -> Compressor:
    """The largest numbers of an array, by size; zeros for the others.

    Args:
      fraction: the share of an array's numbers that are kept, at least one of them.

    Raises:
      ValueError: `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, not {fraction}")

    def compress(a: jax.Array) -> jax.Array:
        if a.size == 0:
            return a
        flat = a.ravel()
        _, kept = jax.lax.top_k(jnp.abs(flat), max(1, round(fraction * a.size)))
        return jnp.zeros_like(flat).at[kept].set(flat[kept]).reshape(a.shape)

    return compress


TOP_PERCENT = top_k(0.01)
"""One number in a hundred."""


def scaled_sign(a: jax.Array) -> jax.Array:
    """The sign of each number, times the mean size of all: one bit each."""
    return jnp.sign(a) * (jnp.sum(jnp.abs(a)) / max(a.size, 1)).astype(a.dtype)


def error_feedback(
    inner: optax.GradientTransformation,
    *,
    compressor: Compressor = TOP_PERCENT,
) -> optax.GradientTransformationExtraArgs:
    """Error feedback around an optimizer that is given compressed gradients.

    With C the compressor and u the update of the inner optimizer:

        a <- g + e
        e <- a - C(a)
        u <- inner(C(a))

    Args:
      inner: the optimizer.
      compressor: of each array: `top_k(fraction)`, `scaled_sign`, or any other function.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = error_feedback(optax.sgd(0.1), compressor=scaled_sign)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Seide et al., "1-Bit Stochastic Gradient Descent and its Application to Data-Parallel
      Distributed Training of Speech DNNs", 2014, doi.org/10.21437/Interspeech.2014-274.

    Deviations: one worker, nothing is sent. The paper quantizes each column to one bit with a mean
    of its own for either sign; its feedback is here for any compressor.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> ErrorFeedbackState:
        return ErrorFeedbackState(optax.tree.zeros_like(params), inner.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ErrorFeedbackState]:
        corrected = optax.tree.add(updates, state.error)
        sent = jax.tree.map(compressor, corrected)
        error = optax.tree.sub(corrected, sent)
        updates, inner_state = inner.update(sent, state.inner, params, **extra_args)
        return updates, ErrorFeedbackState(error, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _sgd(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.sgd(learning_rate)


ROWS = (
    Baseline(
        id="error_feedback",
        name="Error feedback",
        factory=error_feedback,
        kind="wrapper",
        group="distributed",
        title=(
            "1-Bit Stochastic Gradient Descent and its Application to Data-Parallel Distributed "
            "Training of Speech DNNs"
        ),
        authors="Seide et al.",
        year=2014,
        link="doi.org/10.21437/Interspeech.2014-274",
        test={"compressor": top_k(0.25)},
        test_rate=0.1,
        inner=_sgd,
        tuning=tuned(10.0),
        deviations=(
            "One worker, nothing is sent. The paper quantizes each column to one bit with a mean "
            "of its own for either sign; its feedback is here for any compressor."
        ),
        checked=("equations",),
    ),
)
