"""What it means to train with a rule, shared by both engines: jobs, outcomes, the schedule."""

import enum
from typing import NamedTuple

import numpy as np

import tasks
from metaopt.rules.genome import Genome, Layout

SCHEDULES = ("constant", "linear", "cosine")


class Status(enum.IntEnum):
    """How a training ended."""

    FINISHED = 0
    STOPPED = 1  # gave up: after the patience it had learned nothing
    DIVERGED = 2  # the loss became NaN, infinite, or far worse than the trivial predictor's


class Jobs(NamedTuple):
    """Trainings to run, one an entry.

    Attributes:
      program: int `(J,)`, which genome of the stack.
      seed: int32 `(J,)`, of initial parameters and batches.
      rate: float32 `(J,)`, the learning rate's peak.
    """

    program: np.ndarray
    seed: np.ndarray
    rate: np.ndarray


class Order(NamedTuple):
    """What an engine is asked to run: trainings of one task.

    Attributes:
      task: its name.
      genomes: a stack of programs, best without dead code.
      layout: their layout.
      jobs: what to train.
      steps: length of a training.
      course: name of the learning rate's schedule.
      patience: fraction of the steps after which a training is stopped whose loss is not below
        the trivial predictor's; 1 never stops.
      split: what the final loss is measured on.
      width: number of trainings under way at once.
    """

    task: str
    genomes: Genome
    layout: Layout
    jobs: Jobs
    steps: int
    course: str
    patience: float
    split: tasks.Split
    width: int

    @property
    def patience_steps(self) -> int:
        """The patience as a number of steps."""
        return max(1, int(self.patience * self.steps))


class Outcomes(NamedTuple):
    """How the trainings ended.

    Attributes:
      loss: float64 `(J,)`, held-out loss after training, infinite where it did not finish.
      status: int `(J,)`, a `Status`.
      steps: int `(J,)`, the steps that were run.
    """

    loss: np.ndarray
    status: np.ndarray
    steps: np.ndarray


DIVERGED_AT = 10.0
"""A training loss above this many times the trivial predictor's counts as divergence."""


def schedule(name: str, steps: int) -> np.ndarray:
    """The learning rate's course as factors of its peak, float32 `(steps,)`.

    `constant` is 1; `linear` is 1 - k/steps; `cosine` is (1 + cos(pi k/steps))/2, at step k = 0, 1,
    ...

    Raises:
      ValueError: unknown name.
    """
    progress = np.arange(steps) / steps
    courses = {
        "constant": np.ones(steps),
        "linear": 1 - progress,
        "cosine": (1 + np.cos(np.pi * progress)) / 2,
    }
    if name not in courses:
        raise ValueError(f"unknown schedule {name!r}: choose one of {', '.join(SCHEDULES)}")
    return courses[name].astype(np.float32)
