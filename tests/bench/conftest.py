"""What tests of a benchmark's folder share."""

import numpy as np
import pytest

from search.bench.contenders import name_of
from search.bench.results import Trials


@pytest.fixture(scope="session")
def measured():
    """(plan, task, rng) -> made-up trials of all optimizers in all settings, as planned."""

    def one(plan, task, setting, rng):
        points = plan.intervals(setting.length)
        return Trials(
            {"learning_rate": np.geomspace(0.1, 1.0, plan.trials)},
            (plan.interval(task) * np.arange(1, points + 1)).astype(np.int32),
            *rng.uniform(size=(2, plan.trials, plan.seeds, points)).astype(np.float32),
            rng.uniform(size=(plan.trials, plan.seeds)).astype(np.float32),
        )

    def make(plan, task, rng):
        return {
            (setting, name_of(optimizer)): one(plan, task, setting, rng)
            for setting in plan.settings
            for optimizer in plan.optimizers
        }

    return make
