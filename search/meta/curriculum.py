"""What a meta-update trains on: tasks, and lengths of trainings. All follows from the seed."""

from collections.abc import Mapping, Sequence
from functools import cache

import jax.numpy as jnp
import numpy as np

import tasks
from search.meta.config import CurriculumConfig, MetaConfig, TasksConfig
from search.meta.estimators import Lengths


@cache
def pool(config: TasksConfig) -> Mapping[str, tuple[str, ...]]:
    """The tasks by family, the cheapest of each first."""
    names = [*(tasks.steps(config.suite) if config.suite else ()), *config.names]
    families: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        families.setdefault(tasks.family(tasks.TASKS[name]), []).append(name)
    if not config.per_family:
        return {family: tuple(members) for family, members in families.items()}
    return {
        family: tuple(sorted(members, key=_cost)[: config.per_family])
        for family, members in families.items()
    }


def _cost(name: str) -> int:
    return tasks.step_flops(tasks.get(name))


def task_of(config: MetaConfig, group: int, step: int) -> str:
    """The task of a group at a meta-update: families are equally likely, then a family's tasks.

    Groups change their tasks in turn, so that a meta-update never meets only new ones.
    """
    return _drawn(config, group, life(config, group, step))


def life(config: MetaConfig, group: int, step: int) -> int:
    """How often a group has changed its task before a meta-update."""
    if config.estimator.method == "full_es":
        return step
    return (step + group * config.keep // config.groups) // config.keep


def _drawn(config: MetaConfig, group: int, number: int) -> str:
    generator = np.random.Generator(np.random.PCG64([config.seed, group, number]))
    families = pool(config.tasks)
    members = families[sorted(families)[generator.integers(len(families))]]
    first = number * (1 if config.estimator.method == "full_es" else config.keep)
    small, last = config.curriculum.small, 1.0
    share = small * (last / small) ** progress(config.curriculum, first)
    among = _cheapest_first(members) if small < 1.0 else members
    return among[generator.integers(max(1, round(share * len(among))))]


@cache
def _cheapest_first(members: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(members, key=_cost))


def progress(config: CurriculumConfig, step: int) -> float:
    """How far the curriculum is, in [0, 1]."""
    return min(1.0, step / config.steps)


def lengths(config: CurriculumConfig, step: int) -> Lengths:
    """The lengths of trainings that begin at a meta-update."""
    at = progress(config, step)

    pairs = zip(config.first, config.last, strict=True)
    return Lengths(*(jnp.float32(first * (last / first) ** at) for first, last in pairs))
