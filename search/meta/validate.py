"""How good weights are on the suite `validation`: whole trainings, without any perturbation."""

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

import tasks
from search.cluster import Executor
from search.meta.config import MetaConfig, NetworkConfig
from search.meta.inner import Theta, training
from search.meta.store import Validation
from search.meta.train import State
from search.meta.work import built, options
from search.once import once

SUITE = "validation"
STEPS, SEEDS = 500, 2
"""Length of a training, and trainings a task: the same of all meta-trainings."""

_FRESH = 10
_COSTLY = 6e6
"""Tasks of which a step takes more floating-point operations than this are left out."""


class Job(NamedTuple):
    """Weights to be tried on a task."""

    network: NetworkConfig
    task: str
    theta: Theta


@cache
def names() -> tuple[str, ...]:
    """The tasks that weights are tried on."""
    members = tasks.steps(SUITE)
    return tuple(name for name in members if tasks.step_flops(tasks.get(name)) <= _COSTLY)


def due(config: MetaConfig, step: int) -> bool:
    """Whether the weights after so many meta-updates are to be tried: every so often, and last."""
    return config.validate > 0 and (step % config.validate == 0 or step == config.steps)


def validation(
    config: MetaConfig,
    state: State,
    executor: Executor,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Validation:
    """Try the weights of a state on all tasks.

    Args:
      config: the meta-training.
      state: its state.
      executor: where trainings run.
      done: told how many tasks are done, and of how many.
    """
    began = time.perf_counter()
    members = names()
    count = iter(range(1, 1 + len(members)))
    losses = executor.run(
        final_loss,
        [Job(config.network, name, state.learned) for name in members],
        lambda *_: done(next(count), len(members)),
    )
    found = dict(zip(members, losses, strict=True))
    seconds = time.perf_counter() - began
    return Validation(state.step, seconds, statistics.fmean(losses), found)


def final_loss(job: Job) -> float:
    """Mean over seeds of the normalized loss at the end of training; see `inner.normalized`."""
    return float(_compiled(job.network, job.task)(job.theta))


@once
def _compiled(network: NetworkConfig, task: str) -> Callable[[Theta], jax.Array]:
    inner = training(built(network), tasks.get(task), fresh=_FRESH, normalization="relative")

    def one(theta: Theta, key: jax.Array) -> jax.Array:
        start, steps, end = jax.random.split(key, 3)

        def body(k: jax.Array, state: tuple) -> tuple:
            return inner.step(theta, state, jax.random.fold_in(steps, k))[0]

        state = inner.begin(theta, start, jnp.int32(STEPS))
        loss = inner.final(theta, jax.lax.fori_loop(0, STEPS, body, state), end)
        return jnp.where(jnp.isfinite(loss), loss, inner.worst)

    def mean(theta: Theta) -> jax.Array:
        keys = jax.random.split(jax.random.key(0), SEEDS)
        return jnp.mean(jax.vmap(one, (None, 0))(theta, keys))

    theta = jax.eval_shape(built(network).init, jax.random.key(0))
    return jax.jit(mean, compiler_options=options()).lower(theta).compile()
