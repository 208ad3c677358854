"""The work of a meta-training, a group at a time: pure calls that run anywhere."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Traced

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
    """The gradient of a group, on its task, by whichever of a machine's devices has least to do."""
    config, step = job.config, job.step
    with _least_busy() as device:
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
        gradient = jax.device_put(found.gradient, jax.local_devices()[0])
        return jax.block_until_ready(found._replace(gradient=gradient))


_at_work: Counter[int] = Counter()
_choosing = threading.Lock()


@contextlib.contextmanager
def _least_busy() -> Iterator[int]:
    """The number of a device that computes the fewest estimates."""
    with _choosing:
        device = min(range(jax.local_device_count()), key=lambda i: _at_work[i])
        _at_work[device] += 1
    try:
        yield device
    finally:
        with _choosing:
            _at_work[device] -= 1


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
    program = (network, config, spread, particles, task)
    if device:
        # What one GPU's program was compiled to is kept, and found by those that ask later.
        compiled(*program, 0)
    start, run = _traced(*program)
    # Here, so that no two threads compile the same.
    with jax.default_device(jax.local_devices()[device]):
        return start, run.lower().compile()


@once
def _traced(
    network: NetworkConfig, config: EstimatorConfig, spread: float, particles: int, task: str
) -> tuple[Callable, Traced]:
    """`start` and `estimate` before they are compiled: all devices share what tracing takes."""
    found = estimator(config, inner(network, config, spread, task), particles)
    key, scalar = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.float32)
    theta = jax.eval_shape(built(network).init, key)
    carry = jax.eval_shape(found.start, theta, key)
    run = jax.jit(found.estimate, compiler_options=options(), donate_argnums=1)
    return jax.jit(found.start), run.trace(
        theta, carry, key, jax.eval_shape(Lengths, scalar, scalar)
    )


def inner(network: NetworkConfig, config: EstimatorConfig, spread: float, task: str) -> Inner:
    """The inner problem of a task."""
    return training(
        built(network),
        tasks.get(task),
        spread=spread,
        fresh=config.fresh,
        held_back=config.loss == "validation",
        normalization=config.normalization,
        floor=config.floor,
    )
