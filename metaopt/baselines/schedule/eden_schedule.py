"""Eden, the schedule of Zipformer and ScaledAdam."""

from typing import Any

import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import (
    require_fraction,
    require_steps,
    scaled,
    warmed_up,
)


def eden_schedule(
    learning_rate: optax.ScalarOrSchedule,
    *,
    steps_per_epoch: int = 1000,
    lr_batches: float = 7500.0,
    lr_epochs: float = 3.5,
    warmup_steps: int = 500,
    warmup_start: float = 0.5,
) -> optax.Schedule:
    """Eden: two inverse square roots, of steps and of epochs, each flat at first, and a warm-up.

    With e = floor(t / steps_per_epoch), B = lr_batches and E = lr_epochs:

        lr_t = lr ((t^2 + B^2) / B^2)^(-1/4) ((e^2 + E^2) / E^2)^(-1/4) u_t
        u_t = min(1, warmup_start + (1 - warmup_start) t / warmup_steps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      steps_per_epoch: length of an epoch.
      lr_batches: steps after which the first root decays.
      lr_epochs: epochs after which the second root decays.
      warmup_steps: length of the linear rise; none if 0.
      warmup_start: what it starts from.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: steps_per_epoch is less than 1, or warmup_start no fraction.

    Example:
      >>> optimizer = optax.adam(eden_schedule(0.01, steps_per_epoch=100))

    Reference:
      Yao et al., "Zipformer: A faster and better encoder for automatic speech recognition", 2023,
      arXiv:2310.11230; k2-fsa/icefall.
    """
    require_steps(steps_per_epoch, "steps_per_epoch", "eden_schedule")
    require_fraction(warmup_start, "warmup_start", "eden_schedule")

    warmup = warmed_up(jnp.ones_like, warmup_steps, warmup_start)

    def profile(count: Any) -> Any:
        by_step = _flat_root(count, lr_batches)
        by_epoch = _flat_root(count // steps_per_epoch, lr_epochs)
        return by_step * by_epoch * warmup(count)

    return scaled(learning_rate, profile)


def _flat_root(t: Any, scale: Any) -> Any:
    """1 for t much below the scale, sqrt(scale / t) far above it."""
    return (1 + (t / scale) ** 2) ** -0.25


ROWS = (
    Baseline(
        id="eden_schedule",
        name="Eden",
        factory=eden_schedule,
        kind="schedule",
        group="schedule",
        title="Zipformer: A faster and better encoder for automatic speech recognition",
        authors="Yao et al.",
        year=2023,
        arxiv="2310.11230",
        test={"steps_per_epoch": 4, "lr_batches": 10.0, "warmup_steps": 3},
        test_rate=0.03,
        tuning=tuned(3.0),
        checked=("equations",),
    ),
)
