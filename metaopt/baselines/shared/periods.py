"""Expensive parts of a method, which run at some of the steps only."""

from collections.abc import Callable
from typing import Any

import jax


def every(period: int, count: jax.Array, compute: Callable[[], Any], kept: Any) -> Any:
    """What is computed at every `period`-th step, and kept in between.

    Args:
      period: steps from one computation to the next; with 1 nothing is conditional.
      count: int32 (), steps counted so that it is computed where `period` divides it.
      compute: makes the new value.
      kept: the last one: a tree of the same structure, shapes and dtypes.
    """
    if period == 1:
        return compute()
    return jax.lax.cond(count % period == 0, compute, lambda: kept)


def require_period(period: int, method: str) -> None:
    """Check a number of steps.

    Raises:
      ValueError: it is below 1.
    """
    if period < 1:
        raise ValueError(f"{method}: the period must be a number of steps, 1 or more, not {period}")
