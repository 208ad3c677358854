"""How fast meta-training is, beside the same trainings without a learned optimizer, in one run.

    python -m experiments.bench_meta [--particles N] [--networks NAME,NAME] [--out FILE.json]

One truncation of 50 steps of PES on digits (multilayer perceptron 64-32-10, batches of 128), again
and again: inner steps a second with each network, and in its place with plain gradient descent,
which is forward and backward alone, and with Adam as one would write it, the limit for an optimizer
that adapts. All run in turns, so that the ratios are of one machine in one state.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import tasks
from metaopt.learned import LearnedOptimizer, count, network
from search.bench.drive import provenance
from search.cluster import InProcess
from search.meta.config import EstimatorConfig
from search.meta.estimators import Lengths, estimator
from search.meta.inner import training
from search.meta.work import options

TASK = "digits_mlp_32_relu_b128"
CONFIG = EstimatorConfig(method="pes", truncation=50, normalization="clipped")
LENGTHS = Lengths(jnp.float32(100.0), jnp.float32(500.0))
GROUPS = 2 if jax.default_backend() == "cpu" else 1
"""Estimates at a time; on a CPU one a core."""


def by_hand(optimizer: optax.GradientTransformation) -> LearnedOptimizer:
    """An optimizer that learns nothing, where a learned one is expected."""
    return LearnedOptimizer(
        "by hand",
        {},
        lambda key: jnp.zeros((), jnp.float32),
        lambda theta, **_: optax.with_extra_args_support(optimizer),
    )


NETWORKS: dict[str, Callable[[], LearnedOptimizer]] = {
    "sgd": lambda: by_hand(optax.sgd(1e-3)),
    "adam": lambda: by_hand(optax.adam(1e-3)),
    "adafac_mlp": lambda: network("adafac_mlp"),
    "celo": lambda: network("celo"),
    "velo_small": lambda: network("velo", hidden=64, bank=32),
    "velo": lambda: network("velo"),
    "velo_rank_1": lambda: network("velo"),
}
RANKS = {"velo_rank_1": 1}
"""Rank of the perturbations of large matrices, where they are not full."""


class Speed(NamedTuple):
    """How fast a network is.

    Attributes:
      parameters: meta-parameters.
      first: seconds until the first truncation is done, compiling included.
      steps: inner steps a second.
    """

    parameters: int
    first: float
    steps: float


class Runner:
    """Truncations of one network, one after the other."""

    def __init__(self, learned: LearnedOptimizer, rank: int, particles: int):
        inner = training(learned, tasks.get(TASK), normalization=CONFIG.normalization)
        found = estimator(dataclasses.replace(CONFIG, rank=rank), inner, particles)
        self._theta = learned.init(jax.random.key(0))
        began = time.perf_counter()
        self._run = jax.jit(found.estimate, compiler_options=options(), donate_argnums=1)
        keys = [jax.random.key(i) for i in range(GROUPS)]
        self._carries = [jax.jit(found.start)(self._theta, key) for key in keys]
        self._count = 0
        self._threads = InProcess(GROUPS)
        self._one(0)  # alone, so that it compiles once
        self.parameters, self.first = count(self._theta), time.perf_counter() - began
        self._steps = 2 * particles * CONFIG.truncation * GROUPS

    def _one(self, group: int) -> None:
        key = jax.random.fold_in(jax.random.key(group), self._count)
        found = self._run(self._theta, self._carries[group], key, LENGTHS)
        self._carries[group] = jax.block_until_ready(found).carry

    def pace(self) -> float:
        """Inner steps a second in one truncation of all groups."""
        self._count += 1
        began = time.perf_counter()
        self._threads.run(self._one, range(GROUPS))
        return self._steps / (time.perf_counter() - began)


def measure(names: list[str], particles: int, repeats: int) -> dict[str, Speed]:
    """The speed of each, measured in turns."""
    runners = {}
    for name in names:
        runners[name] = Runner(NETWORKS[name](), RANKS.get(name, 0), particles)
        print(f"{name:12} first truncation after {runners[name].first:.1f} s", flush=True)
    paces: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, runner in runners.items():
            paces[name].append(runner.pace())
    return {
        name: Speed(runner.parameters, runner.first, statistics.median(paces[name]))
        for name, runner in runners.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=8, help="pairs of trainings a group")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = measure(args.networks.split(","), args.particles, args.repeats)
    adam = found["adam"].steps if "adam" in found else float("nan")
    print(f"{'':12} {'meta-parameters':>15} {'first':>8} {'steps a second':>15} {'of adam':>8}")
    for name, speed in found.items():
        print(
            f"{name:12} {speed.parameters:15,} {speed.first:6.1f} s {speed.steps:15,.0f} "
            f"{speed.steps / adam:8.2f}"
        )
    if args.out:
        content = {
            "machine": provenance(),
            "trainings": 2 * args.particles * GROUPS,
            "speeds": {name: speed._asdict() for name, speed in found.items()},
        }
        args.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
