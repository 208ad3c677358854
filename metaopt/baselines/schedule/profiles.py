"""What every schedule of this folder is: a learning rate times a profile.

A profile is a function of the step with values between 0 and 1. The learning rate may itself be
a schedule.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.rates import rate_at


def scaled(learning_rate: optax.ScalarOrSchedule, profile: optax.Schedule) -> optax.Schedule:
    """The schedule learning_rate * profile.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      profile: int32 () -> what it is multiplied by.
    """

    def schedule(count: Any) -> Any:
        return rate_at(learning_rate, count) * profile(count)

    return schedule


def progress(count: Any, num_steps: Any) -> jax.Array:
    """The part of the training that is over, which stays 1 after its end."""
    return jnp.clip(count / num_steps, 0, 1)


def warmed_up(
    profile: optax.Schedule, warmup_steps: int, start: float | jax.Array = 0.0
) -> optax.Schedule:
    """A profile with a linear rise from `start` over its first steps.

    Args:
      profile: what follows, which is called with the step counted from the start of the training.
      warmup_steps: length of the rise; none if 0.
      start: of the rise.
    """

    def risen(count: Any) -> jax.Array:
        rise = start + (1 - start) * count / max(warmup_steps, 1)
        return jnp.where(count < warmup_steps, rise, profile(count))

    return risen


def require_steps(steps: int, name: str, schedule: str) -> None:
    """Reject periods of no steps.

    Raises:
      ValueError: `steps` is less than 1.
    """
    if steps < 1:
        raise ValueError(f"{name} of {schedule} is at least 1, not {steps}")


def require_fraction(value: Any, name: str, schedule: str) -> None:
    """Reject fractions that are none.

    Raises:
      ValueError: `value` is a number outside of [0, 1].
    """
    if isinstance(value, int | float) and not 0 <= value <= 1:
        raise ValueError(f"{name} of {schedule} is a fraction between 0 and 1, not {value}")
