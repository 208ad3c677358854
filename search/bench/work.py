"""The work of a benchmark, a task at a time: pure calls that run anywhere."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tasks
from metaopt.baselines.memory import tree_bytes
from search.bench.config import BenchConfig
from search.bench.contenders import Contender, find, trials
from search.bench.engine import Group, train
from search.bench.results import Cost, Facts, Setting, Trials


class Job(NamedTuple):
    """A task of a benchmark.

    Attributes:
      config: the benchmark.
      task: its name.
      unfinished: a folder that keeps trainings under way; None keeps none.
    """

    config: BenchConfig
    task: str
    unfinished: Path | None = None


class Measurement(NamedTuple):
    """What came of a job."""

    facts: Facts
    measured: Mapping[tuple[Setting, str], Trials]


def measure(job: Job, stop: Callable[[], bool] = lambda: False) -> Measurement:
    """Train everything that the plan asks for on one task.

    Raises:
      Stopped: `stop` said so.
    """
    config, task = job.config, tasks.get(job.task)
    groups = [
        Group(contender, schedule, trials(contender, config.trials, config.tuning))
        for contender in map(find, config.optimizers)
        for schedule in _schedules(contender, config)
    ]
    trained = train(
        task,
        groups,
        seeds=range(config.first_seed, config.first_seed + config.seeds),
        interval=config.interval(job.task),
        points=[config.intervals(length) for length in config.lengths],
        stop=stop,
        unfinished=job.unfinished,
    )
    measured = {
        (Setting(length, schedule), group.contender.name): of_group
        for length, of_length in zip(config.lengths, trained.lengths, strict=True)
        for group, of_group in zip(groups, of_length, strict=True)
        for schedule in ((group.schedule,) if group.contender.space else config.schedules)
    }
    return Measurement(facts(config.suite, job.task, trained.initial_loss), measured)


def _schedules(contender: Contender, config: BenchConfig) -> tuple[str, ...]:
    """The schedules to train with; what takes no learning rate does the same under each."""
    return config.schedules if contender.space else config.schedules[:1]


def facts(suite: str, name: str, initial_loss: float) -> Facts:
    """What is known of a task of a suite beside its trials."""
    entry, task = tasks.SUITES[suite][name], tasks.get(name)
    return Facts(
        family=tasks.family(entry.config),
        steps=entry.steps,
        parameters=tasks.parameter_count(task),
        flops=tasks.step_flops(task),
        trivial_loss=task.trivial_loss,
        initial_loss=initial_loss,
    )


# ---------------------------------------------------------------- what an optimizer costs

_TENSORS, _SHAPE, _REPEATS = 50, (64, 256), 60


def costs(contenders: Sequence[Contender], repeats: int = _REPEATS) -> dict[str, Cost]:
    """Step time over that of AdamW, side by side, and the size of the state, of each optimizer."""
    adamw, *others = step_costs(
        [optax.adamw(1e-3), *(c.optimizer(1e-3, 1000) for c in contenders)], repeats=repeats
    )
    return {
        contender.name: Cost(cost.step_time / adamw.step_time, cost.state)
        for contender, cost in zip(contenders, others, strict=True)
    }


def step_costs(
    optimizers: Sequence[optax.GradientTransformation], repeats: int = _REPEATS
) -> list[Cost]:
    """Seconds of a step on a tree of 50 tensors, taken in turns, and the size of the state.

    Of many steps the median: what an optimizer does at few of them is not in it.
    """
    rng = np.random.default_rng(0)
    tree = {f"w{i}": jnp.asarray(rng.normal(size=_SHAPE), jnp.float32) for i in range(_TENSORS)}
    optimizers = [optax.with_extra_args_support(optimizer) for optimizer in optimizers]
    steps = [jax.jit(optimizer.update) for optimizer in optimizers]
    states = [optimizer.init(tree) for optimizer in optimizers]
    sizes = [tree_bytes(state) / tree_bytes(tree) for state in states]
    times: list[list[float]] = [[] for _ in steps]
    turns = list(enumerate(steps))
    for _ in range(1 + repeats):
        turns.reverse()  # nobody always goes first
        for i, step in turns:
            began = time.perf_counter()
            _, states[i] = jax.block_until_ready(
                step(tree, states[i], tree, value=jnp.float32(1.0))
            )
            times[i].append(time.perf_counter() - began)
    # The first step compiled.
    return [
        Cost(statistics.median(found[1:]), size) for found, size in zip(times, sizes, strict=True)
    ]
