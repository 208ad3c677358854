"""WSD: warm-up, a constant rate for as long as one likes, and a cooldown."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

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

Shape = Literal["linear", "cosine", "mirror_cosine", "square", "sqrt"]
"""What a cooldown looks like."""

_SHAPES: Mapping[Shape, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {
        "linear": lambda x: 1 - x,
        "cosine": lambda x: (1 + jnp.cos(jnp.pi * x)) / 2,
        "mirror_cosine": lambda x: 2 * (1 - x) - (1 + jnp.cos(jnp.pi * x)) / 2,
        "square": lambda x: 1 - x**2,
        "sqrt": lambda x: 1 - jnp.sqrt(x),
    }
)


def wsd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    num_steps: int,
    warmup: float = 0.05,
    cooldown: float = 0.2,
    shape: Shape = "sqrt",
) -> optax.Schedule:
    """Warmup-stable-decay: a linear rise from a hundredth, a plateau, and a fall to zero.

    With W = floor(warmup num_steps), D = floor(cooldown num_steps), x = (t - (num_steps - D)) / D:

        lr_t = lr (0.01 + 0.99 t / W)    while t < W
               lr                        until t = num_steps - D
               lr f(x)                   from there on
        f(x) = 1 - x (linear), 1 - x^2 (square), 1 - sqrt(x) (sqrt), (1 + cos(pi x)) / 2 (cosine),
               or the reflection of cosine in linear (mirror_cosine)

    Args:
      learning_rate: of the plateau: a number, a scalar array or a schedule.
      num_steps: length of the training; the rate stays zero after it.
      warmup: length of the rise, as a part of the training.
      cooldown: length of the fall, as a part of the training.
      shape: f.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1, warmup or cooldown or their sum is no fraction, or the
        shape is unknown.

    Example:
      >>> optimizer = optax.adamw(wsd(1e-3, num_steps=1000))

    Reference:
      Dremov et al., "Training Dynamics of the Cooldown Stage in Warmup-Stable-Decay Learning Rate
      Scheduler", 2025, arXiv:2508.01483; epfml/schedules-and-scaling.

    Deviations:
      The paper's lowered linear shape is left out: its formula could not be confirmed. A larger
      b2 during the cooldown, which the paper advises, is the optimizer's.
    """
    require_steps(num_steps, "num_steps", "wsd")
    for value, name in ((warmup, "warmup"), (cooldown, "cooldown"), (warmup + cooldown, "the sum")):
        require_fraction(value, name, "wsd")
    if shape not in _SHAPES:
        raise ValueError(f"shape of wsd is one of {', '.join(_SHAPES)}, not {shape}")
    fall = int(cooldown * num_steps)

    def profile(count: Any) -> jax.Array:
        return _SHAPES[shape](jnp.clip((count - (num_steps - fall)) / max(fall, 1), 0, 1))

    return scaled(learning_rate, warmed_up(profile, int(warmup * num_steps), start=0.01))


ROWS = (
    Baseline(
        id="wsd",
        name="WSD",
        factory=wsd,
        kind="schedule",
        group="schedule",
        title=(
            "Training Dynamics of the Cooldown Stage in Warmup-Stable-Decay Learning Rate Scheduler"
        ),
        authors="Dremov et al.",
        year=2025,
        arxiv="2508.01483",
        needs=("num_steps",),
        test={"warmup": 0.25, "cooldown": 0.5},
        tuning=tuned(3.0),
        deviations=(
            "The paper's lowered linear shape is left out: its formula could not be confirmed. A "
            "larger b2 during the cooldown, which the paper advises, is the optimizer's."
        ),
        checked=("equations",),
    ),
)
