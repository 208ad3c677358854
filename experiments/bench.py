"""`make bench`: how fast the search is, side by side in one run.

Every figure is a rate of this machine; what to look at are the ratios.

    python -m experiments.bench [--out FILE.json]
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.rules import library, to_source, transform
from metaopt.rules.analysis import facts, live
from metaopt.rules.fingerprint import fingerprint
from metaopt.rules.genome import Genome, Layout, decode, encode, stack, take, without_dead_code
from metaopt.rules.mutate import MutationWeights, mutate
from metaopt.rules.program import Program
from search import device_engine, host_engine
from search.bench.contenders import find
from search.bench.work import costs
from search.problem import Problem, problem
from search.training import Jobs, Order, Status

WIDTH = 64
"""Trainings under way at once on the host, here and in the limit."""

ENGINES = {"host": host_engine.train, "device": device_engine.train}
TASK, STEPS = "digits_mlp_32_relu_b32", 200
START = library.get("adamw_no_bias_correction")
LAYOUT = Layout.of(START, capacity=32, spares=8)


def seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def mutants(count: int, generations: int, seed: int = 0) -> tuple[Genome, np.ndarray]:
    """Programs some mutations away from the start, and which of their statements are live."""
    genomes = stack([encode(START, LAYOUT)] * count)
    step = jax.jit(jax.vmap(lambda k, g: mutate(k, g, LAYOUT, MutationWeights())[0]))
    for i in range(generations):
        genomes = step(jax.random.split(jax.random.key(seed + i), count), genomes)
    genomes = Genome(*(np.asarray(leaf) for leaf in genomes))
    return genomes, np.asarray(jax.jit(jax.vmap(partial(live, layout=LAYOUT)))(genomes))


def order_of(genomes: Genome, count: int, *, engine: str, patience: float = 1.0) -> Order:
    """`count` trainings of these programs, in turn."""
    jobs = Jobs(
        np.arange(count) % len(genomes.ops), np.zeros(count, np.int32), np.ones(count, np.float32)
    )
    width = WIDTH if engine == "host" else count
    return Order(
        TASK, genomes, LAYOUT, jobs, STEPS, "cosine", patience, split="validation", width=width
    )


def engine_rate(genomes: Genome, count: int, *, engine: str, patience: float = 1.0) -> float:
    """Candidate trainings a second through an engine of the search."""
    order = order_of(genomes, count, engine=engine, patience=patience)
    return count / seconds(lambda: ENGINES[engine](order), 3)


def limit_rate(p: Problem, count: int) -> float:
    """The same trainings with AdamW written by hand, batched in one compiled scan."""
    courses = jnp.asarray((1 + np.cos(np.pi * np.arange(STEPS) / STEPS)) / 2, jnp.float32)

    @jax.jit
    def run(seeds: jax.Array) -> jax.Array:
        def step(carry: tuple, k: jax.Array) -> tuple:
            w, m, v = carry
            _, g = jax.vmap(p.gradient, in_axes=(0, 0, None))(w, seeds, k)
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            update = m / (jnp.sqrt(v) + 1e-8) + 0.01 * w
            return (w - 0.001 * courses[k] * update, m, v), None

        w = jax.vmap(p.init)(seeds)
        zeros = jnp.zeros_like(w)
        (w, _, _), _ = jax.lax.scan(step, (w, zeros, zeros), jnp.arange(STEPS))
        return jax.vmap(partial(p.evaluate, split="validation"))(w)

    seeds = jnp.zeros(count, jnp.int32)
    return count / seconds(lambda: jax.block_until_ready(run(seeds)), 3)


def compiled_rate(p: Problem, programs: list[Program]) -> float:
    """The same trainings with each candidate compiled by XLA."""

    def train(program: Program) -> float:
        optimizer = transform(program, optax.cosine_decay_schedule(1.0, STEPS))

        @jax.jit
        def run(seed: jax.Array) -> jax.Array:
            def step(carry: tuple, k: jax.Array) -> tuple:
                w, state = carry
                _, g = p.gradient(w, seed, k)
                updates, state = optimizer.update(g, state, w)
                return (w + updates, state), None

            w = p.init(seed)
            (w, _), _ = jax.lax.scan(step, (w, optimizer.init(w)), jnp.arange(STEPS))
            return p.evaluate(w, "validation")

        return float(run(jnp.int32(0)))

    began = time.perf_counter()
    for program in programs:
        train(program)
    return len(programs) / (time.perf_counter() - began)


def variation_rate(count: int = 2048) -> tuple[float, float]:
    """Programs mutated, checked and fingerprinted: a second, and a second of CPU time."""
    parents, _ = mutants(count, 6)

    @jax.jit
    def step(key: jax.Array, genomes: Genome) -> tuple:
        keys = jax.random.split(key, count)
        new = jax.vmap(lambda k, g: mutate(k, g, LAYOUT, MutationWeights())[0])(keys, genomes)
        alive = jax.vmap(partial(live, layout=LAYOUT))(new)
        return new, alive, jax.vmap(lambda g: facts(g, LAYOUT).valid)(new)

    def run() -> None:
        new, alive, valid = (
            jax.tree.map(np.asarray, part) for part in step(jax.random.key(0), parents)
        )
        assert valid.all()
        fingerprint(without_dead_code(new, alive), LAYOUT)

    wall = seconds(run, 9)
    began = time.process_time()
    for _ in range(9):
        run()
    return count / wall, 9 * count / (time.process_time() - began)


def exported_lion_ratio() -> float:
    """Time of a step of the exported Lion over that of `optax.lion`, on a tree of 50 tensors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported_lion.py"
        path.write_text(to_source(library.get("lion"), name="exported_lion"))
        found = costs([find(str(path)), find("lion")])
    return found["exported_lion"].step_time / found["lion"].step_time


def measure() -> dict[str, float | str]:
    """All figures."""
    backend = jax.default_backend()
    engine = "host" if backend == "cpu" else "device"
    count = 4 * WIDTH if backend == "cpu" else 4096
    p = problem(TASK)
    found: dict[str, float | str] = {
        "platform": platform.machine(),
        "device": jax.devices()[0].device_kind,
        "engine": engine,
    }
    genomes, alive = mutants(count * 4, 8)
    lean = without_dead_code(genomes, alive)
    # Programs that train to the end, so that every one costs all its steps.
    status = ENGINES[engine](order_of(lean, len(lean.ops), engine=engine)).status
    finishing = np.flatnonzero(status == Status.FINISHED)
    chosen = take(lean, finishing[np.arange(count) % len(finishing)])
    start = stack([encode(START, LAYOUT)])
    found["statements_of_candidates"] = float(np.mean(np.sum(chosen.ops >= 0, axis=1)))
    found["candidates_per_s"] = engine_rate(chosen, count, engine=engine)
    found["adamw_program_per_s"] = engine_rate(start, count, engine=engine)
    found["search_mix_per_s"] = engine_rate(lean, count, engine=engine, patience=0.25)
    found["limit_adamw_per_s"] = limit_rate(p, WIDTH if engine == "host" else count)
    programs = [decode(take(chosen, i), LAYOUT) for i in range(6)]
    found["compile_per_candidate_per_s"] = compiled_rate(p, programs)
    found["candidates_over_compile"] = (
        found["candidates_per_s"] / found["compile_per_candidate_per_s"]
    )
    found["candidates_over_limit"] = found["candidates_per_s"] / found["limit_adamw_per_s"]
    found["adamw_program_over_limit"] = found["adamw_program_per_s"] / found["limit_adamw_per_s"]
    found["variation_per_s"], found["variation_per_cpu_s"] = variation_rate()
    found["exported_lion_over_optax_lion_time"] = exported_lion_ratio()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()
    found = measure()
    for name, value in found.items():
        print(f"{name:38} {value if isinstance(value, str) else f'{value:12,.2f}'}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
