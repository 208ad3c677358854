"""A meta-training, one meta-update after the other."""

import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from metaopt.learned import checkpoint, released
from search.cluster import Executor
from search.meta.config import MetaConfig, OuterConfig
from search.meta.curriculum import task_of
from search.meta.estimators import Metrics
from search.meta.inner import Theta
from search.meta.outer import Averaged, optimizer
from search.meta.work import Group, built, estimate


class State(NamedTuple):
    """All that a meta-training needs to go on.

    Attributes:
      step: meta-updates done.
      theta: the weights.
      outer: the state of the outer optimizer.
      carries: for each group its trainings under way, or None.
    """

    step: int
    theta: Theta
    outer: Any
    carries: tuple[Any, ...]

    @property
    def learned(self) -> Theta:
        """The weights that it has come to: the average of theta, where one is kept."""
        return self.outer.mean if isinstance(self.outer, Averaged) else self.theta


class Record(NamedTuple):
    """What a meta-update saw.

    Attributes:
      step: its number, from 0.
      seconds: how long it took.
      norm: Euclidean norm of the gradient before it was cut.
      tasks: for each group the name of its task.
      metrics: for each group what its estimate saw.
    """

    step: int
    seconds: float
    norm: float
    tasks: tuple[str, ...]
    metrics: tuple[Metrics, ...]

    @property
    def loss(self) -> float:
        """The meta-loss: mean normalized loss over groups."""
        return float(np.mean([metrics.loss for metrics in self.metrics]))


def begin(config: MetaConfig) -> State:
    """The state before the first meta-update."""
    theta = first_weights(config)
    return State(
        0, theta, optimizer(config.outer, config.steps).init(theta), (None,) * config.groups
    )


def first_weights(config: MetaConfig) -> Theta:
    """The weights that a meta-training begins with.

    Raises:
      FileNotFoundError, CheckpointError: those of `config.start` cannot be read.
    """
    network = built(config.network)
    if not config.start:
        return network.init(jax.random.fold_in(jax.random.key(config.seed), 0))
    path = _file(config.start)
    given, theta = released.read(path)
    if (given.contract, given.sizes) != (network.contract, network.sizes):
        raise checkpoint.CheckpointError(
            f"{path} holds a network {given.contract} of sizes {dict(given.sizes)}, and `network` "
            f"asks for {network.contract} of {dict(network.sizes)}: they must be the same"
        )
    return theta


def begun_from(config: MetaConfig) -> list[dict[str, Any]]:
    """What the weights that a meta-training begins with were trained for before, oldest first.

    Raises:
      FileNotFoundError, CheckpointError: the card of `config.start` cannot be read.
    """
    if not config.start:
        return []
    card = checkpoint.read_card(_file(config.start))
    before = card.get("begun_from", [])
    if not isinstance(before, list):
        raise checkpoint.CheckpointError(
            f"the card of {config.start} has begun_from {before!r}: it must be a list"
        )
    return [*before, {key: card.get(key) for key in ("name", "meta_updates", "inner_steps")}]


def _file(start: str) -> Path:
    path = released.find(start)
    if path is None:
        raise FileNotFoundError(
            f"{start!r} is neither a file *{checkpoint.SUFFIX} nor a released optimizer's "
            f"name: those are {', '.join(released.names())}"
        )
    return path


def advance(config: MetaConfig, state: State, executor: Executor) -> tuple[State, Record]:
    """One meta-update. Where groups run makes no difference to what they come to."""
    began = time.perf_counter()
    jobs = [
        Group(config, group, state.step, state.theta, carry)
        for group, carry in enumerate(state.carries)
    ]
    estimates = executor.run(estimate, jobs)
    theta, outer, norm = _update(config.outer, config.steps)(
        state.theta, state.outer, [found.gradient for found in estimates]
    )
    new = State(state.step + 1, theta, outer, tuple(found.carry for found in estimates))
    metrics = tuple(jax.tree.map(float, found.metrics) for found in estimates)
    names = tuple(task_of(config, group, state.step) for group in range(config.groups))
    return new, Record(state.step, time.perf_counter() - began, float(norm), names, metrics)


@cache
def _update(config: OuterConfig, steps: int) -> Any:
    outer = optimizer(config, steps)

    @jax.jit
    def update(theta: Theta, state: Any, gradients: list[Theta]) -> tuple[Theta, Any, jax.Array]:
        mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *gradients)
        updates, state = outer.update(mean, state, theta)
        return optax.apply_updates(theta, updates), state, optax.tree.norm(mean)

    return update
