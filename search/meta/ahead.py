"""Compiling what a meta-training will meet, while it runs."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax

from search.machine import cores
from search.meta.config import MetaConfig
from search.meta.curriculum import pool, task_of
from search.meta.work import compiled_for

_LOOKED_AHEAD = 1000
"""Meta-updates whose tasks are compiled before their turn."""


@contextlib.contextmanager
def compiling(config: MetaConfig, step: int) -> Iterator[None]:
    """Compile tasks in the order in which they come, on cores that would have nothing to do.

    It makes no difference to what a meta-training comes to. On two cores nothing is done ahead.

    Args:
      config: the meta-training.
      step: meta-updates done.
    """
    threads = min(8 * jax.local_device_count(), cores() // 2 - 1)
    if threads < 1:
        yield
        return
    workers = ThreadPoolExecutor(threads)
    try:
        for name, device in upcoming(config, step):
            workers.submit(compiled_for, config, name, device)
        yield
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def upcoming(config: MetaConfig, step: int) -> list[tuple[str, int]]:
    """The tasks of the next meta-updates in order, each for every device that may meet it."""
    found: dict[str, None] = {}
    everything = sum(map(len, pool(config.tasks).values()))
    for later in range(step, min(config.steps, step + _LOOKED_AHEAD)):
        if len(found) == everything:
            break
        found |= dict.fromkeys(task_of(config, group, later) for group in range(config.groups))
    devices = range(min(config.groups, jax.local_device_count()))
    return [(task, device) for task in found for device in devices]
