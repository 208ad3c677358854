"""Gradient accumulation: one step on the mean gradient of several small batches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


def gradient_accumulation(
    inner: optax.GradientTransformation,
    *,
    every_k_schedule: int | Callable[[Any], Any] = 4,
) -> optax.GradientTransformationExtraArgs:
    """Gradient accumulation: Optax's `MultiSteps` in the form of a wrapper.

    With k gradients since the last step, and u zero on all steps but each k-th:

        a <- a + (g - a) / (number of gradients in a + 1)
        u <- inner(a);  a <- 0

    Args:
      inner: the optimizer of the mean gradient.
      every_k_schedule: k, or a function of the steps that `inner` has taken.

    Returns:
      The transformation. Means are kept in float32 at least.

    Raises:
      ValueError: k is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = gradient_accumulation(optax.sgd(0.1), every_k_schedule=2)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ott et al., "Scaling Neural Machine Translation", 2018, arXiv:1806.00187, among many others.
    """
    if isinstance(every_k_schedule, int) and every_k_schedule < 1:
        raise ValueError(f"every_k_schedule must be at least 1, not {every_k_schedule}")

    def steps(tree: Any) -> optax.MultiSteps:
        # Optax accumulates in float32 whatever the gradients, which would round float64 ones.
        dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(tree))
        return optax.MultiSteps(inner, every_k_schedule, accumulator_dtype=dtype)

    def init(params: optax.Params) -> optax.OptState:
        return steps(params).init(params)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        return steps(updates).update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="gradient_accumulation",
        name="Gradient accumulation",
        factory=gradient_accumulation,
        kind="wrapper",
        group="wrapper",
        title="Scaling Neural Machine Translation",
        authors="Ott et al.",
        year=2018,
        arxiv="1806.00187",
        test={"every_k_schedule": 2},
        test_rate=0.03,
        tuning=tuned(0.3),
        checked=("equations",),
    ),
)
