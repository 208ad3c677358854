"""Learning rates where a method needs their value in the middle of its equations."""

from typing import Any

import jax
import optax


def rate_at(learning_rate: optax.ScalarOrSchedule, count: jax.Array) -> Any:
    """The learning rate of a step.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      count: int32 (), steps taken before this one; what a schedule is called with.
    """
    return learning_rate(count) if callable(learning_rate) else learning_rate
