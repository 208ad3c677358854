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
    """The gradient of a group, on its task: groups take turns on the devices of a machine."""
    config, step = job.config, job.step
    device = device_of(job.group)
    start, run = compiled_for(config, task_of(config, job.group, step), device)
    theta, key, bounds, carry = jax.device_put(
        (
            job.theta,
            _key(config.seed, job.group, step),
            lengths(config.curriculum, step),
            job.carry,
        ),
        jax.local_devices()[device],
    )
    renewed = step == 0 or life(config, job.group, step) != life(config, job.group, step - 1)
    carry = start(theta, key) if renewed or carry is None else carry
    found = run(theta, carry, key, bounds)
    return found._replace(gradient=jax.device_put(found.gradient, jax.local_devices()[0]))


def device_of(group: int) -> int:
    """Which of this machine's devices computes a group's estimates."""
    return group % jax.local_device_count()


def _key(seed: int, group: int, step: int) -> jax.Array:
    key = jax.random.fold_in(jax.random.key(seed), 1)
    return jax.random.fold_in(jax.random.fold_in(key, group), step)


def compiled_for(config: MetaConfig, task: str, device: int) -> tuple[Callable, Callable]:
    """`compiled`, as a meta-training needs it."""
    return compiled(
        config.network, config.estimator, config.curriculum.spread, config.particles, task, device
    )


@once
def compiled(
    network: NetworkConfig,
    config: EstimatorConfig,
    spread: float,
    particles: int,
    task: str,
    device: int,
) -> tuple[Callable, Callable]:
    """The compiled `start` and `estimate` of a task, for one of the devices of this machine."""
    if device:
        # What one GPU's program was compiled to is kept, and found by those that ask later.
        compiled(network, config, spread, particles, task, 0)
    found = estimator(config, inner(network, config, spread, task), particles)
    key, scalar = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.float32)
    theta = jax.eval_shape(built(network).init, key)
    carry = jax.eval_shape(found.start, theta, key)
    run = jax.jit(found.estimate, compiler_options=options(), donate_argnums=1)
    # Here, so that no two threads compile the same.
    with jax.default_device(jax.local_devices()[device]):
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
