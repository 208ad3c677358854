"""Fitness: how well a rule trains the search's tasks, on validation data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import jax
import numpy as np

import tasks
from metaopt.rules.genome import Genome, Layout, encode, stack
from metaopt.rules.program import Program
from search import device_engine, host_engine
from search.fields import assert_at_least, assert_rates, assert_types
from search.problem import problem
from search.training import SCHEDULES, Jobs, Order, Status

Engine = Literal["auto", "host", "device"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a candidate is trained and judged.

    Attributes:
      tasks: names of the tasks; fitness is the mean over them.
      steps: length of a training.
      schedule: course of the learning rate `lr` that rules see: constant, linear, or cosine.
      rates: peaks of `lr`; the best of them counts, for all tasks and seeds together. The published
        search uses one, 1.0, and leaves the scale to the rule.
      num_seeds: trainings a task and rate; fitness is the mean over them.
      first_seed: the first of the seeds, which are consecutive.
      patience: fraction of the steps after which a training that has learned nothing is stopped.
      engine: `host` interprets rules in numpy, `device` in XLA; `auto` takes `device` where JAX
        has an accelerator. The two differ in rounding, so a campaign stays with one.
      width: trainings that run at once; 0 is 32 on the host and 2,048 on an accelerator.
    """

    tasks: tuple[str, ...] = ("digits_mlp_32_relu_b32",)
    steps: int = 200
    schedule: str = "cosine"
    rates: tuple[float, ...] = (1.0,)
    num_seeds: int = 1
    first_seed: int = 0
    patience: float = 0.25
    engine: Engine = "auto"
    width: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        if not self.tasks:
            raise ValueError("training needs at least one task")
        assert_rates(self.rates)
        for name in self.tasks:
            if name not in tasks.names():
                tasks.get(name)  # raises, with near matches
            if getattr(tasks.TASKS[name], "delay", 0):
                raise ValueError(f"task {name!r} delays gradients, which a search does not do")
        assert_at_least(1, self, "steps", "num_seeds")
        assert_at_least(0, self, "first_seed", "width")
        if not 0 < self.patience <= 1:
            raise ValueError(f"patience must be in (0, 1], got {self.patience}")
        if self.engine not in get_args(Engine):
            choices = ", ".join(get_args(Engine))
            raise ValueError(f"engine must be one of {choices}: {self.engine!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}: {self.schedule!r}")

    def resolved_engine(self) -> str:
        """`host` or `device`."""
        if self.engine != "auto":
            return self.engine
        return "host" if jax.default_backend() == "cpu" else "device"

    def resolved_width(self) -> int:
        """How many trainings run at once."""
        return self.width or (32 if self.resolved_engine() == "host" else 2048)

    @property
    def trainings_per_candidate(self) -> int:
        """How many trainings one evaluation takes."""
        return len(self.tasks) * len(self.rates) * self.num_seeds


class Evaluation(NamedTuple):
    """What was measured of N candidates.

    Attributes:
      fitness: float64 `(N,)`, 1 - loss / trivial loss, in [0, 1]: 0 for a rule that learns nothing
        or diverges, 1 for no loss at all; mean over tasks and seeds at the best rate.
      rate: float64 `(N,)`, the best rate.
      status: int `(N,)`, the worst `Status` of the trainings at that rate.
      losses: float64 `(N, tasks, seeds)`, validation losses at that rate.
      trainings: number of trainings that were run.
      steps: number of optimizer steps that were run.
    """

    fitness: np.ndarray
    rate: np.ndarray
    status: np.ndarray
    losses: np.ndarray
    trainings: int
    steps: int


def evaluate(
    genomes: Genome,
    layout: Layout,
    config: TrainingConfig,
    *,
    split: tasks.Split = "validation",
) -> Evaluation:
    """Train stacked legal genomes and measure their fitness.

    Args:
      genomes: a stack of N, best without dead code.
      layout: their layout.
      config: how to train.
      split: what the final loss is measured on.
    """
    count = len(genomes.ops)
    rates, seeds = len(config.rates), config.num_seeds
    engine = config.resolved_engine()
    train = host_engine.train if engine == "host" else device_engine.train
    jobs = Jobs(
        program=np.repeat(np.arange(count), rates * seeds),
        rate=np.tile(np.repeat(np.array(config.rates, np.float32), seeds), count),
        seed=np.tile(np.arange(seeds, dtype=np.int32) + config.first_seed, count * rates),
    )
    outcomes = [
        train(
            Order(
                task=task,
                genomes=genomes,
                layout=layout,
                jobs=jobs,
                steps=config.steps,
                course=config.schedule,
                patience=config.patience,
                split=split,
                width=config.resolved_width(),
            )
        )
        for task in config.tasks
    ]
    shape = (len(config.tasks), count, rates, seeds)
    losses = np.stack([o.loss for o in outcomes]).reshape(shape)
    status = np.stack([o.status for o in outcomes]).reshape(shape)
    by_rate = _fitness(losses, config).mean(axis=2)
    best = np.argmax(by_rate, axis=1)
    rows = np.arange(count)
    return Evaluation(
        fitness=by_rate[rows, best],
        rate=np.asarray(config.rates, np.float64)[best],
        status=status[:, rows, best].max(axis=(0, 2), initial=Status.FINISHED),
        losses=losses[:, rows, best].swapaxes(0, 1),
        trainings=len(jobs.program) * len(config.tasks),
        steps=int(sum(o.steps.sum() for o in outcomes)),
    )


def evaluate_programs(
    programs: Sequence[Program], config: TrainingConfig, *, split: tasks.Split = "validation"
) -> Evaluation:
    """`evaluate` for programs, which may have different states."""
    groups: dict[tuple, list[int]] = {}
    for i, program in enumerate(programs):
        names = tuple(name for name, _ in program.hyperparameters)
        groups.setdefault((program.states, names), []).append(i)
    parts = []
    for members in groups.values():
        chosen = [programs[i] for i in members]
        jobs = len(chosen) * len(config.rates) * config.num_seeds
        width = min(config.resolved_width(), 1 << max(2, (jobs - 1).bit_length()))
        layout = Layout.covering(chosen)
        genomes = stack([encode(program, layout) for program in chosen])
        parts.append(evaluate(genomes, layout, replace(config, width=width), split=split))
    order = np.argsort(np.concatenate(list(groups.values())))
    return Evaluation(
        fitness=np.concatenate([p.fitness for p in parts])[order],
        rate=np.concatenate([p.rate for p in parts])[order],
        status=np.concatenate([p.status for p in parts])[order],
        losses=np.concatenate([p.losses for p in parts])[order],
        trainings=sum(p.trainings for p in parts),
        steps=sum(p.steps for p in parts),
    )


def fitness_by_seed(
    programs: Sequence[Program], config: TrainingConfig, *, split: tasks.Split = "validation"
) -> np.ndarray:
    """Fitness of each program seed by seed, mean over tasks: float64 `(N, seeds)`."""
    return seed_fitness(evaluate_programs(programs, config, split=split), config)


def seed_fitness(found: Evaluation, config: TrainingConfig) -> np.ndarray:
    """Fitness of what was measured, seed by seed, mean over tasks: float64 `(N, seeds)`."""
    return _fitness(found.losses.swapaxes(0, 1), config)


def _fitness(losses: np.ndarray, config: TrainingConfig) -> np.ndarray:
    """1 - loss / trivial loss, in [0, 1], mean over the tasks, which are the first axis."""
    trivial = np.array([problem(task).trivial_loss for task in config.tasks])
    units = trivial.reshape(-1, *[1] * (losses.ndim - 1))
    return (1 - np.clip(losses / units, 0, 1)).mean(axis=0)


def mean_and_spread(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    values = np.asarray(values, np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
