"""What a benchmark is asked to do."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import tasks
from search.bench.results import Setting
from search.errors import UserError
from search.training import SCHEDULES

Tuning = Literal["grid", "random"]


@dataclass(frozen=True)
class BenchConfig:
    """The plan of a benchmark: every optimizer gets the same.

    Attributes:
      suite: name of the suite, with its version.
      optimizers: what `contenders.find` is given for each; no two of the same name.
      trials: settings of its hyperparameters that each optimizer may try, on each task anew; one
        that has none is tried once.
      seeds: trainings a trial; a trial is judged by their mean.
      first_seed: the first of the seeds, which are consecutive.
      lengths: factors of each task's standard number of steps; see `check_lengths`.
      schedules: courses of the learning rate, names in `search.training.COURSES`.
      tuning: `grid`, learning rates at equal ratios and defaults for the rest; or `random`, draws
        from the whole space of hyperparameters.
      points: measurements in a training of standard length.
      tasks: names of the suite's tasks to run; none for all.
    """

    suite: str
    optimizers: tuple[str, ...]
    trials: int = 10
    seeds: int = 3
    first_seed: int = 0
    lengths: tuple[float, ...] = (1.0,)
    schedules: tuple[str, ...] = ("cosine",)
    tuning: Tuning = "grid"
    points: int = 20
    tasks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        for name in ("trials", "seeds", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.first_seed < 0:
            raise ValueError(f"first_seed must be at least 0, got {self.first_seed}")
        for name in ("optimizers", "lengths", "schedules"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name}: at least one is needed")
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: some are given twice: {', '.join(map(str, values))}")
        for length in self.lengths:
            if not math.isfinite(length) or length <= 0 or round(length * self.points) < 1:
                raise ValueError(
                    f"lengths must be finite and at least {1 / self.points:g}, got {length}"
                )
        for schedule in self.schedules:
            if schedule not in SCHEDULES:
                known = ", ".join(SCHEDULES)
                raise ValueError(f"unknown schedule {schedule!r}: choose from {known}")
        if self.tuning not in get_args(Tuning):
            choices = ", ".join(get_args(Tuning))
            raise ValueError(f"tuning must be one of {choices}, got {self.tuning!r}")
        members = tasks.SUITES[tasks.resolve_suite(self.suite)]
        for name in self.tasks:
            if name not in members:
                tasks.get(name)  # raises, with near matches, where there is no such task at all
                raise ValueError(f"task {name!r} is not in the suite {self.suite}")

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks to run, in the suite's order."""
        members = tasks.steps(self.suite)
        return tuple(name for name in members if not self.tasks or name in self.tasks)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every length with every schedule."""
        return tuple(Setting(n, s) for n in self.lengths for s in self.schedules)

    def interval(self, task: str) -> int:
        """Steps between measurements; a length is a whole number of them."""
        return max(1, round(tasks.steps(self.suite)[task] / self.points))

    def intervals(self, length: float) -> int:
        """How many measurements a training of that length has."""
        return round(length * self.points)


def check_lengths(config: BenchConfig) -> None:
    """Refuse lengths that would be rounded, or measured twice.

    Only a new benchmark has to pass: those of before, whose lengths were rounded, can be read.

    Raises:
      UserError: a length is no whole number of intervals, or two are the same.
    """
    seen: dict[int, float] = {}
    for length in config.lengths:
        count = config.intervals(length)
        if not math.isclose(length * config.points, count, rel_tol=1e-9):
            raise UserError(
                f"length {length:g} is no whole multiple of 1 / {config.points}, the part of a "
                f"training between two measurements; the nearest is {count / config.points:g}"
            )
        if count in seen:
            raise UserError(
                f"lengths {seen[count]!r} and {length!r} are the same training; leave one out"
            )
        seen[count] = length
