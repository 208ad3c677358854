"""The work of a meta-training, a group at a time: pure calls that run anywhere."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import tasks
from metaopt.learned import LearnedOptimizer, network
from search.machine import gpu_options
from search.meta.config import EstimatorConfig, MetaConfig, NetworkConfig
from search.meta.curriculum import lengths, life, task_of
from search.meta.estimators import Estimate, Lengths, estimator
from search.meta.inner import Inner, Theta, training
from search.once import once


def options() -> dict[str, Any]:
    """What the compiler is told."""
    return {} if jax.default_backend() == "cpu" else gpu_options()


class Group(NamedTuple):
    """One estimate of a meta-update.

    Attributes:
      config: the meta-training.
      group: which group.
      step: which meta-update, from 0.
      theta: the weights.
      carry: the group's trainings under way; None: it begins.
    """

    config: MetaConfig
    group: int
    step: int
    theta: Theta
    carry: Any


def built(config: NetworkConfig) -> LearnedOptimizer:
    """The network of a configuration."""
    return network(config.name, **config.sizes)


def estimate(job: Group) -> Estimate:
    """The gradient of a group, on its task."""
    config, step = job.config, job.step
    name = task_of(config, job.group, step)
    start, run = compiled_for(config, name)
    key = _key(config.seed, job.group, step)
    renewed = step == 0 or life(config, job.group, step) != life(config, job.group, step - 1)
    carry = start(job.theta, key) if renewed or job.carry is None else job.carry
    return run(job.theta, carry, key, lengths(config.curriculum, step))


def _key(seed: int, group: int, step: int) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return jax.random.fold_in(jax.random.fold_in(key, group), step)


def compiled_for(config: MetaConfig, task: str) -> tuple[Callable, Callable]:
    """`compiled`, as a meta-training needs it."""
    return compiled(
        config.network, config.estimator, config.curriculum.spread, config.particles, task
    )


@once
def compiled(
    network: NetworkConfig, config: EstimatorConfig, spread: float, particles: int, task: str
) -> tuple[Callable, Callable]:
    """The compiled `start` and `estimate` of a task."""
    found = estimator(config, inner(network, config, spread, task), particles)
    key, scalar = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.float32)
    theta = jax.eval_shape(built(network).init, key)
    carry = jax.eval_shape(found.start, theta, key)
    run = jax.jit(found.estimate, compiler_options=options(), donate_argnums=1)
    # Here, so that no two threads compile the same.
    whole = run.lower(theta, carry, key, jax.eval_shape(Lengths, scalar, scalar)).compile()
    return jax.jit(found.start), whole


def inner(network: NetworkConfig, config: EstimatorConfig, spread: float, task: str) -> Inner:
    """The inner problem of a task."""
    return training(
        built(network),
        tasks.get(task),
        spread=spread,
        fresh=config.fresh,
        normalization=config.normalization,
    )
