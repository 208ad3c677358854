"""How fast a benchmark's trials are, beside the same trials in a plain Optax loop, in one run.

    python -m experiments.bench_trials [--out FILE.json] [--tasks NAME,NAME]

All of the held-out suite, three optimizers, ten learning rates, three seeds, as `metaopt bench`
runs them; then again, with what the first run compiled in JAX's cache. The plain loop is what one
writes first: for each trial the optimizer with its learning rate, a jitted step, a Python loop over
seeds and steps, a jitted evaluation now and then. It compiles once a trial. Of each task one
trial is compiled, of each optimizer in turn, a fourth of one of its trainings is run, and all
others are taken to last as long.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import tasks
from search.bench.config import BenchConfig
from search.bench.contenders import Contender, find, trials
from search.bench.drive import here, longest_first
from search.bench.work import Job, measure
from search.training import COURSES

PLAN = BenchConfig(
    tasks.resolve_suite("held_out"),
    ("adamw", "lion", "momentum_sgd"),
    trials=10,
    seeds=3,
    points=20,
)
PART = PLAN.points // 4
"""Of a training's measurements, those that the plain loop is timed up to."""


class Seconds(NamedTuple):
    """What a plain loop takes: to compile, and to run."""

    compiling: float
    running: float


# ---------------------------------------------------------------- as a benchmark


def benchmark(plan: BenchConfig, compiled: Path) -> dict[str, float]:
    """Seconds of all trials of each task.

    Tasks run side by side: each is given its share of the time that all of them took.
    """
    began = time.perf_counter()
    names = longest_first(plan.suite, plan.task_names)
    found = here(compiled).run(timed, [Job(plan, name) for name in names])
    seconds = time.perf_counter() - began
    print(f"{len(names)} tasks as a benchmark: {seconds:.1f} s", flush=True)
    return {name: seconds * of / sum(found) for name, of in zip(names, found, strict=True)}


def timed(job: Job) -> float:
    """Seconds of all trials of a task, beside others."""
    began = time.perf_counter()
    measure(job)
    return time.perf_counter() - began


# ---------------------------------------------------------------- one after the other


def plain(plan: BenchConfig, name: str, optimizer: str) -> Seconds:
    """What all trials of a task take in a plain loop, by one of this optimizer's."""
    contender, count = find(optimizer), len(plan.optimizers) * plan.trials
    rate = trials(contender, plan.trials, plan.tuning)["learning_rate"][plan.trials // 2]
    found = _plain_training(tasks.get(name), contender, rate, plan.interval(name), plan.points)
    return Seconds(count * found.compiling, count * plan.seeds * found.running)


def _plain_training(
    task: tasks.Task, contender: Contender, rate: float, interval: int, points: int
) -> Seconds:
    """Compiling a trial, and running it with one seed."""
    began = time.perf_counter()
    steps = jnp.float32(interval * points)
    optimizer = contender.build(lambda k: rate * COURSES["cosine"](k / steps))
    optimizer = optax.with_extra_args_support(optimizer)

    @jax.jit
    def step(params: tasks.Params, state: optax.OptState, key: jax.Array) -> tuple:
        loss, gradient = jax.value_and_grad(task.loss)(params, task.batch(key))
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return optax.apply_updates(params, updates), state, loss

    evaluate = jax.jit(lambda params: task.evaluate(params, "validation"))
    init = jax.jit(task.init)
    key = jax.random.key(0)
    params = init(key)
    state = optimizer.init(params)
    jax.block_until_ready((step(params, state, jax.random.fold_in(key, 0)), evaluate(params)))
    compiling, began = time.perf_counter() - began, time.perf_counter()
    for k in range(PART * interval):
        params, state, _ = step(params, state, jax.random.fold_in(key, k))
        if (k + 1) % interval == 0:
            float(evaluate(params))
    return Seconds(compiling, (time.perf_counter() - began) * points / PART)


# ---------------------------------------------------------------- the figures


class Row(NamedTuple):
    """Seconds that all trials take.

    Attributes:
      benchmark_s: in a benchmark.
      again_s: in a benchmark that finds its programs in the cache.
      plain_s: in a plain loop.
      plain_running_s: in a plain loop, without compiling.
    """

    benchmark_s: float
    again_s: float
    plain_s: float
    plain_running_s: float

    def figures(self) -> dict[str, float]:
        """The row, and how many times as fast the benchmark is."""
        return self._asdict() | {
            "ratio": self.plain_s / self.benchmark_s,
            "ratio_again": self.plain_s / self.again_s,
        }

    def __str__(self) -> str:
        found = self.figures()
        return (
            f"{self.benchmark_s:8.1f} s {self.again_s:8.1f} s {self.plain_s:9.1f} s "
            f"{found['ratio']:7.1f} x {found['ratio_again']:7.1f} x"
        )


def report(plan: BenchConfig) -> dict:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        first, again = (benchmark(plan, Path(folder)) for _ in range(2))
    jax.config.update("jax_enable_compilation_cache", False)
    rows = {}
    print(f"{'':65} {'benchmark':>10} {'again':>10} {'plain loop':>11}")
    plain(plan, plan.task_names[0], plan.optimizers[0])  # whatever happens once a process
    for name, optimizer in zip(plan.task_names, itertools.cycle(plan.optimizers)):
        loop = plain(plan, name, optimizer)
        rows[name] = Row(first[name], again[name], loop.compiling + loop.running, loop.running)
        print(f"{name:65} {rows[name]}", flush=True)
    whole = Row(*(sum(column) for column in zip(*rows.values(), strict=True)))
    print(f"{'all':65} {whole}")
    return {
        "device": jax.devices()[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "suite": plan.suite,
        "whole": whole.figures(),
        "tasks": {name: row.figures() for name, row in rows.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    parser.add_argument("--tasks", default="", help="only these, separated by commas")
    given = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # as a benchmark does
    names = tuple(filter(None, given.tasks.split(",")))
    found = report(replace(PLAN, tasks=names))
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
