"""Small meta-trainings for tests: what they are, and what it means that two ended the same."""

import io
from dataclasses import replace

import numpy as np

from search.meta.config import (
    CurriculumConfig,
    EstimatorConfig,
    MetaConfig,
    NetworkConfig,
    TasksConfig,
)
from search.meta.store import MetaStore
from search.trees import packed

TASKS = ("quadratic_12x8_4_cond10_noise0_seed0", "rosenbrock_d32_noise0.00211")


def tiny(**changes) -> MetaConfig:
    """Two groups of two particles on two tasks of different shapes."""
    config = MetaConfig(
        network=NetworkConfig("adafac_mlp", layers=1),
        estimator=EstimatorConfig("pes", truncation=3),
        curriculum=CurriculumConfig(shortest=6, longest=12),
        tasks=TasksConfig(names=TASKS),
        groups=2,
        particles=2,
        keep=4,
        steps=12,
    )
    return replace(config, **changes)


def single(**changes) -> MetaConfig:
    """One group on one task: what compiles soonest."""
    return replace(tiny(groups=1, tasks=TasksConfig(names=TASKS[1:])), **changes)


def outcome(store: MetaStore) -> tuple[np.ndarray, ...]:
    """All that a meta-training came to, but for the times."""
    state = store.state()
    records = store.records()
    assert state is not None
    assert state.step == len(records)
    with np.load(io.BytesIO(packed(state._replace(step=())))) as arrays:
        leaves = [arrays[name] for name in arrays.files]
    seen = [(r.step, r.norm, *r.tasks, *(float(x) for m in r.metrics for x in m)) for r in records]
    scores = [(v.step, v.score, *v.losses.values()) for v in store.validations()]
    return (*leaves, np.array(seen), np.array(scores))


def same(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> None:
    """Assert that two outcomes are equal, bit by bit."""
    assert [x.dtype for x in a] == [x.dtype for x in b]
    assert [x.shape for x in a] == [x.shape for x in b]
    assert [x.tobytes() for x in a] == [x.tobytes() for x in b]


class Watch:
    """Notes what an observer of a meta-training is told."""

    def __init__(self):
        self.steps, self.validations, self.asked = [], [], []

    def updated(self, record):
        self.steps.append(record.step)

    def validating(self, done, total):
        self.asked.append((done, total))

    def validated(self, validation):
        self.validations.append(validation)
