"""What it means to train with a rule, shared by both engines: jobs, outcomes, the schedule."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import tasks
from metaopt.rules.genome import Genome, Layout


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
    """The learning rate's course as factors of its peak, float32 `(steps,)`, at steps 0, 1, ...

    Raises:
      ValueError: unknown name.
    """
    if name not in COURSES:
        raise ValueError(f"unknown schedule {name!r}: choose one of {', '.join(SCHEDULES)}")
    return COURSES[name](np.arange(steps) / steps).astype(np.float32)


# ---------------------------------------------------------------- what a seed fixes


def initial_key(seed: jax.Array) -> jax.Array:
    """The key of a training's initial parameters."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def step_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """The key of the batch that a training draws at a step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), step)


# ---------------------------------------------------------------- courses of the learning rate

_WARMUP, _DECAY = 0.05, 0.2


def _constant(progress: Any) -> Any:
    """1."""
    return progress * 0 + 1


def _linear(progress: Any) -> Any:
    """1 - p."""
    return 1 - progress


def _cosine(progress: Any) -> Any:
    """(1 + cos(pi p)) / 2. Loshchilov and Hutter, arXiv 1608.03983, without restarts."""
    xp = progress.__array_namespace__()
    return (1 + xp.cos(xp.pi * progress)) / 2


def _warmup_stable_decay(progress: Any) -> Any:
    """Up over the first 5 %, down over the last 20 %, straight. Hu et al., arXiv 2404.06395."""
    xp = progress.__array_namespace__()
    return xp.clip(xp.minimum(progress / _WARMUP, (1 - progress) / _DECAY), 0, 1)


COURSES: Mapping[str, Callable[[Any], Any]] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "wsd": _warmup_stable_decay,
}
"""Name -> factor of the learning rate's peak, by the fraction p of steps done (numpy or jax)."""

SCHEDULES = tuple(COURSES)
