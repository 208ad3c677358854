"""Suites that are drawn at random, once, and kept as JSON: their files, and how they are drawn.

A row is `{"family": ..., "config": {...}, "augment": {...}, "steps": n}`, without the fields that
are at their default. The file decides what a suite is: later releases of NumPy, or of a family's
sampler, cannot change it. `python -m experiments.sample_suites` writes it.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from tasks.augment import Augmented, varied
from tasks.base import TaskConfig, parameter_count, step_flops
from tasks.families import FAMILIES, family
from tasks.sampling import chance, choice

FOLDER = "drawn"

# Hundreds of these are trained at once on a laptop.
_MOST_PARAMETERS, _MOST_FLOPS = 40_000, 40_000_000
_STEPS = (200, 400, 800)


def read(name: str) -> tuple[tuple[TaskConfig, int], ...]:
    """The configurations of a drawn suite, each with the length of its standard training."""
    text = (resources.files("tasks") / FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return tuple((config(row), row["steps"]) for row in json.loads(text))


def config(row: Mapping[str, Any]) -> TaskConfig:
    """The configuration that a row describes."""
    base = FAMILIES[row["family"]](**_tuples(row.get("config", {})))
    return Augmented(base, **row["augment"]) if row.get("augment") else base


def row(config: TaskConfig, steps: int) -> dict[str, Any]:
    """The row that describes a configuration."""
    base = config.base if isinstance(config, Augmented) else config
    found: dict[str, Any] = {"family": family(config), "config": _changed(base)}
    if isinstance(config, Augmented):
        found["augment"] = {k: v for k, v in _changed(config).items() if k != "base"}
    return found | {"steps": steps}


def draw(
    families: Sequence[str], count: int, seed: int, without: frozenset[str] = frozenset()
) -> Iterator[tuple[TaskConfig, int]]:
    """Draw configurations, families in turn, half of them varied; all small, no two the same.

    Args:
      families: names of the families.
      count: how many.
      seed: fixes the draws.
      without: names of tasks that must not be among them.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    seen = set(without)
    for i in range(count):
        while True:
            drawn: TaskConfig = FAMILIES[families[i % len(families)]].sample(generator)
            if chance(generator, 0.5):
                variation = varied(generator, drawn)
                drawn = variation if variation.is_one else variation.base
            if drawn.name not in seen and _is_small(drawn):
                break
        seen.add(drawn.name)
        yield drawn, choice(generator, _STEPS)


def _is_small(config: TaskConfig) -> bool:
    task = config.build()
    return parameter_count(task) <= _MOST_PARAMETERS and step_flops(task) <= _MOST_FLOPS


def _changed(config: Any) -> dict[str, Any]:
    """The fields that are not at their default."""
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    }


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return value
