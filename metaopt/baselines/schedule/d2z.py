"""D2Z: a learning rate that decays linearly to zero."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import (
    require_fraction,
    require_steps,
    scaled,
    warmed_up,
)


def d2z(
    learning_rate: optax.ScalarOrSchedule, *, num_steps: int, warmup: float = 0.1
) -> optax.Schedule:
    """Linear decay to zero: after a linear rise, a straight line to zero at the end.

    With W = floor(warmup num_steps):

        lr_t = lr t / W                                while t < W
               lr (1 - (t - W) / (num_steps - W))      from there on

    Args:
      learning_rate: the peak: a number, a scalar array or a schedule.
      num_steps: length of the training; the rate stays zero after it.
      warmup: length of the rise, as a part of the training.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1, or warmup no fraction.

    Example:
      >>> optimizer = optax.adamw(d2z(1e-3, num_steps=1000))

    Reference:
      Bergsma et al., "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best
      for LLMs", 2025, arXiv:2502.15938.
    """
    require_steps(num_steps, "num_steps", "d2z")
    require_fraction(warmup, "warmup", "d2z")
    rise = int(warmup * num_steps)

    def profile(count: Any) -> jax.Array:
        return 1 - jnp.clip((count - rise) / max(num_steps - rise, 1), 0, 1)

    return scaled(learning_rate, warmed_up(profile, rise))


ROWS = (
    Baseline(
        id="d2z",
        name="D2Z",
        factory=d2z,
        kind="schedule",
        group="schedule",
        title=(
            "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for LLMs"
        ),
        authors="Bergsma et al.",
        year=2025,
        arxiv="2502.15938",
        needs=("num_steps",),
        test={"warmup": 0.0},
        tuning=tuned(3.0),
        checked=("equations",),
    ),
)
