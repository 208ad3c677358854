"""What the records of a meta-training amount to: curves, levels, families."""

from collections.abc import Sequence

import numpy as np

import tasks
from search.meta.config import MetaConfig
from search.meta.inner import normalized
from search.meta.train import Record

FIRST = 10
"""Meta-updates whose mean loss stands for untrained weights."""

_FINAL = 0.05
"""Fraction of the meta-updates whose mean loss is the final one."""


def losses(records: Sequence[Record]) -> np.ndarray:
    """The meta-losses, float64 (n,)."""
    return np.array([record.loss for record in records], float)


def window(count: int) -> int:
    """How many of `count` meta-updates a smooth curve is a mean of."""
    return max(10, count // 50)


def smooth(values: Sequence[float] | np.ndarray, width: int) -> np.ndarray:
    """Mean of each value and those before it, `width` in all where there are so many."""
    sums = np.cumsum(np.asarray(values, float))
    counts = np.minimum(np.arange(1, len(sums) + 1), width)
    before = np.concatenate([np.zeros(min(width, len(sums))), sums[:-width]])
    return (sums - before[: len(sums)]) / counts


def at_first(records: Sequence[Record]) -> float:
    """The meta-loss before anything is learned."""
    return float(np.mean(losses(records[:FIRST])))


def at_last(records: Sequence[Record]) -> float:
    """The meta-loss that was come to: mean over the last twentieth."""
    return float(np.mean(losses(records[-max(1, round(_FINAL * len(records))) :])))


def inner_steps(records: Sequence[Record]) -> int:
    """Steps of inner trainings in all."""
    return round(sum(float(metrics.steps) for record in records for metrics in record.metrics))


def broken(records: Sequence[Record]) -> np.ndarray:
    """Fraction of losses that were not finite, of each meta-update."""
    return np.array([np.mean([m.broken for m in record.metrics]) for record in records], float)


def trivial_level(config: MetaConfig, names: Sequence[str]) -> float | None:
    """The meta-loss of the trivial predictor; None where it depends on the task."""
    how, floor = config.estimator.normalization, config.estimator.floor
    if how == "clipped":
        return tasks.get(names[0]).trivial_loss if len(set(names)) == 1 else None
    return float(normalized(np.float32(1.0), 1.0, how, floor))  # type: ignore[arg-type]


def family_losses(records: Sequence[Record]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By family, the meta-updates that met it and the mean losses there; the most met first."""
    found: dict[str, dict[int, list[float]]] = {}
    for record in records:
        for name, metrics in zip(record.tasks, record.metrics, strict=True):
            of_family = found.setdefault(tasks.family(tasks.TASKS[name]), {})
            of_family.setdefault(record.step, []).append(float(metrics.loss))
    return {
        family: (np.array(list(at)), np.array([np.mean(values) for values in at.values()]))
        for family, at in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    }
