"""Schedules that Optax has, as profiles of one learning rate."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.schedule.profiles import require_fraction, require_steps, scaled


def cosine_decay(
    learning_rate: optax.ScalarOrSchedule, *, num_steps: int, alpha: float = 0.1
) -> optax.Schedule:
    """Half a period of a cosine, from the learning rate down to a part of it.

        lr_t = lr (alpha + (1 - alpha) (1 + cos(pi t / num_steps)) / 2)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      num_steps: length of the training; from there on the rate stays where it is.
      alpha: the last rate over the first.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1, or alpha no fraction.

    Example:
      >>> optimizer = optax.sgd(cosine_decay(0.1, num_steps=1000))

    Reference:
      Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016,
      arXiv:1608.03983.

    Deviations:
      One period without restarts, down to a tenth as is common for language models.
    """
    require_steps(num_steps, "num_steps", "cosine_decay")
    require_fraction(alpha, "alpha", "cosine_decay")
    return scaled(learning_rate, optax.cosine_decay_schedule(1.0, num_steps, alpha))


def exponential_decay(
    learning_rate: optax.ScalarOrSchedule, *, num_steps: int, decay_rate: float = 0.01
) -> optax.Schedule:
    """A rate that shrinks by the same factor at every step.

        lr_t = lr decay_rate^(t / num_steps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      num_steps: steps in which the rate shrinks by decay_rate, such as those of the training; it
        goes on to shrink after them.
      decay_rate: positive.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1, or decay_rate not positive.

    Example:
      >>> optimizer = optax.sgd(exponential_decay(0.1, num_steps=1000))

    Reference:
      Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015,
      arXiv:1512.00567, which trains with it.

    Deviations:
      The rate shrinks at every step, not every second epoch, and by a factor for the training.
    """
    require_steps(num_steps, "num_steps", "exponential_decay")
    if isinstance(decay_rate, int | float) and decay_rate <= 0:
        raise ValueError(f"exponential_decay multiplies by decay_rate > 0, not {decay_rate}")
    return scaled(learning_rate, optax.exponential_decay(1.0, num_steps, decay_rate))


def linear_warmup(
    learning_rate: optax.ScalarOrSchedule, *, warmup_steps: int = 100, start: float = 0.0
) -> optax.Schedule:
    """A linear rise to a constant learning rate.

        lr_t = lr (start + (1 - start) min(1, t / warmup_steps))

    Args:
      learning_rate: a number, a scalar array or a schedule.
      warmup_steps: length of the rise.
      start: the first rate over the last; one over the number of workers in the paper.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: warmup_steps is less than 1, or start no fraction.

    Example:
      >>> optimizer = optax.sgd(linear_warmup(0.1, warmup_steps=100))

    Reference:
      Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017,
      arXiv:1706.02677.
    """
    require_steps(warmup_steps, "warmup_steps", "linear_warmup")
    require_fraction(start, "start", "linear_warmup")
    return scaled(learning_rate, optax.warmup_constant_schedule(start, 1.0, warmup_steps))


def onecycle(
    learning_rate: optax.ScalarOrSchedule,
    *,
    num_steps: int,
    pct_start: float = 0.45,
    pct_final: float = 0.9,
    div_factor: float = 10.0,
    final_div_factor: float = 100.0,
) -> optax.Schedule:
    """One cycle: a linear rise, as long a fall, and a last fall far below where it started.

        lr_t = lr / div_factor                       at t = 0
               lr                                    at t = pct_start num_steps
               lr / div_factor                       at t = pct_final num_steps
               lr / (div_factor final_div_factor)    from t = num_steps on
               on straight lines in between

    Args:
      learning_rate: the peak: a number, a scalar array or a schedule.
      num_steps: length of the training.
      pct_start: end of the rise, as a part of the training.
      pct_final: end of the fall, as a part of the training.
      div_factor: the peak over the first rate.
      final_div_factor: the first rate over the last.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 3, or 0 < pct_start < pct_final < 1 does not hold.

    Example:
      >>> optimizer = optax.sgd(onecycle(0.1, num_steps=1000))

    Reference:
      Smith, Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
      Rates", 2017, arXiv:1708.07120.

    Deviations:
      Momentum does not fall while the rate rises: that is the optimizer's.
    """
    if not 0 < pct_start < pct_final < 1:
        raise ValueError(
            f"onecycle rises, falls and falls again: 0 < pct_start < pct_final < 1, not "
            f"{pct_start} and {pct_final}"
        )
    rise, fall = int(pct_start * num_steps), int(pct_final * num_steps)
    if not 0 < rise < fall < num_steps:
        raise ValueError(f"onecycle needs a step for each of its phases, not {num_steps} in all")
    return scaled(
        learning_rate,
        optax.linear_onecycle_schedule(
            num_steps, 1.0, pct_start, pct_final, div_factor, final_div_factor
        ),
    )


def step_decay(
    learning_rate: optax.ScalarOrSchedule,
    *,
    num_steps: int,
    milestones: tuple[float, ...] = (0.3, 0.6, 0.9),
    factor: float = 0.1,
) -> optax.Schedule:
    """A constant rate that drops when certain parts of the training are over.

        lr_t = lr factor^(how many milestones m have floor(m num_steps) <= t)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      num_steps: length of the training.
      milestones: parts of the training after which the rate drops.
      factor: of each drop.

    Returns:
      The schedule, a function of the number of steps taken.

    Raises:
      ValueError: num_steps is less than 1, or a milestone or the factor no fraction.

    Example:
      >>> optimizer = optax.sgd(step_decay(0.1, num_steps=1000))

    Reference:
      He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385, which
      divides the rate by ten at given steps.

    Deviations:
      The milestones are the common 30-60-90, in percent of the training.
    """
    require_steps(num_steps, "num_steps", "step_decay")
    for value in milestones:
        require_fraction(value, "a milestone", "step_decay")
    require_fraction(factor, "factor", "step_decay")
    drops: dict[int, float] = {}
    for step in (int(part * num_steps) for part in milestones):
        drops[step] = drops.get(step, 1.0) * factor
    return scaled(learning_rate, optax.piecewise_constant_schedule(1.0, drops))


ROWS = (
    Baseline(
        id="cosine_decay",
        name="Cosine decay",
        factory=cosine_decay,
        kind="schedule",
        group="schedule",
        title="SGDR: Stochastic Gradient Descent with Warm Restarts",
        authors="Loshchilov, Hutter",
        year=2016,
        arxiv="1608.03983",
        needs=("num_steps",),
        tuning=tuned(3.0),
        deviations="One period without restarts, down to a tenth as is common for language models.",
        checked=("optax 0.2.8", "torch 2.13.0"),
    ),
    Baseline(
        id="exponential_decay",
        name="Exponential decay",
        factory=exponential_decay,
        kind="schedule",
        group="schedule",
        title="Rethinking the Inception Architecture for Computer Vision",
        authors="Szegedy et al.",
        year=2015,
        arxiv="1512.00567",
        needs=("num_steps",),
        tuning=tuned(3.0),
        deviations=(
            "The rate shrinks at every step, not every second epoch, and by a factor for the "
            "training."
        ),
        checked=("equations",),
    ),
    Baseline(
        id="linear_warmup",
        name="Linear warm-up",
        factory=linear_warmup,
        kind="schedule",
        group="schedule",
        title="Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        authors="Goyal et al.",
        year=2017,
        arxiv="1706.02677",
        test={"warmup_steps": 3, "start": 0.25},
        tuning=tuned(3.0),
        checked=("equations",),
    ),
    Baseline(
        id="onecycle",
        name="OneCycle",
        factory=onecycle,
        kind="schedule",
        group="schedule",
        title=(
            "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates"
        ),
        authors="Smith, Topin",
        year=2017,
        arxiv="1708.07120",
        needs=("num_steps",),
        test_rate=0.05,
        tuning=tuned(3.0),
        deviations="Momentum does not fall while the rate rises: that is the optimizer's.",
        checked=("equations",),
    ),
    Baseline(
        id="step_decay",
        name="Step decay (30-60-90)",
        factory=step_decay,
        kind="schedule",
        group="schedule",
        title="Deep Residual Learning for Image Recognition",
        authors="He et al.",
        year=2015,
        arxiv="1512.03385",
        needs=("num_steps",),
        tuning=tuned(3.0),
        deviations="The milestones are the common 30-60-90, in percent of the training.",
        checked=("torch 2.13.0",),
    ),
)
