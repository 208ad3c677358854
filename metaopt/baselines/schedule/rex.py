"""REX: a learning rate that stays high and falls late."""

from typing import Any

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import progress, require_steps, scaled


def rex(learning_rate: optax.ScalarOrSchedule, *, num_steps: int) -> optax.Schedule:
    """Reflected exponential: a decay to zero that is slower than linear at first, then faster.

    With z = t / num_steps:

        lr_t = lr (1 - z) / (1/2 + (1 - z) / 2)

    Args:
      learning_rate: the first: a number, a scalar array or a schedule.
      num_steps: length of the training; the rate stays zero after it.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1.

    Example:
      >>> optimizer = optax.sgd(rex(0.1, num_steps=1000))

    Reference:
      Chen, Wolfe, Kyrillidis, "REX: Revisiting Budgeted Training with an Improved Schedule", 2021,
      arXiv:2107.04197.
    """
    require_steps(num_steps, "num_steps", "rex")

    def profile(count: Any) -> jax.Array:
        left = 1 - progress(count, num_steps)
        return left / (0.5 + 0.5 * left)

    return scaled(learning_rate, profile)


ROWS = (
    Baseline(
        id="rex",
        name="REX",
        factory=rex,
        kind="schedule",
        group="schedule",
        title="REX: Revisiting Budgeted Training with an Improved Schedule",
        authors="Chen, Wolfe, Kyrillidis",
        year=2021,
        arxiv="2107.04197",
        needs=("num_steps",),
        tuning=tuned(3.0),
        checked=("equations",),
    ),
)
