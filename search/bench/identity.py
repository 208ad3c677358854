"""What ties a measurement to the plan of its benchmark."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from search.bench.config import BenchConfig
from search.bench.contenders import name_of
from search.bench.results import Setting, Trials

_FIELDS = ("suite", "trials", "seeds", "first_seed", "tuning", "points")


def identity(config: BenchConfig, task: str) -> dict[str, Any]:
    """What a measurement keeps of its plan, as JSON values: all that its arrays do not show."""
    return {"task": task} | {field: getattr(config, field) for field in _FIELDS}


def difference(
    config: BenchConfig,
    task: str,
    kept: Mapping[str, Any],
    measured: Mapping[tuple[Setting, str], Trials],
) -> str:
    """What is not as planned in the measurement of a task; empty if all is.

    Args:
      config: the plan.
      task: name of the task.
      kept: `identity` as it was when it was measured; empty in files that are older than it.
      measured: what was measured.
    """
    for field, planned in identity(config, task).items():
        if kept and kept.get(field) != planned:
            return f"its {field} is {kept.get(field)}, and not {planned}"
    planned = {(setting, name_of(o)) for setting in config.settings for o in config.optimizers}
    for which, keys in (("it lacks", planned - set(measured)), ("it has", set(measured) - planned)):
        if keys:
            setting, optimizer = min(keys)
            where = f"with length {setting.length:g} and schedule {setting.schedule}"
            unplanned = "" if which == "it lacks" else ", which is not in the plan"
            return f"{which} {optimizer} {where}{unplanned}"
    for (setting, optimizer), trials in measured.items():
        if not _fits(config, task, setting, trials):
            return (
                f"{optimizer} has other numbers of trials, seeds or steps than planned with length "
                f"{setting.length:g} and schedule {setting.schedule}"
            )
    return ""


def _fits(config: BenchConfig, task: str, setting: Setting, trials: Trials) -> bool:
    """Whether trials have the shapes, and the steps, that are planned."""
    points = config.intervals(setting.length)
    rates = trials.hyperparameters["learning_rate"]
    # What there is nothing to tune of has a single trial, without a learning rate.
    count = 1 if np.isnan(rates).all() else config.trials
    return (
        {values.shape for values in trials.hyperparameters.values()} == {(count,)}
        and trials.test.shape == (count, config.seeds)
        and trials.training.shape == (count, config.seeds, points)
        and trials.validation.shape == (count, config.seeds, points)
        and np.array_equal(trials.steps, config.interval(task) * np.arange(1, points + 1))
    )
