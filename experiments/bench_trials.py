"""How fast a benchmark's trials are, beside the same trials in a plain Optax loop, in one run.

    python -m experiments.bench_trials [--out FILE.json]

Three optimizers, ten learning rates, three seeds. The plain loop is what one writes first: for each
trial the optimizer with its learning rate, a jitted step, a Python loop, a jitted evaluation now
and then. A few of its trials are timed, and the rest taken to last as long. Times include
compiling, which the plain loop does once a trial; the figures "without compiling" leave it out.
First all tasks are run side by side, as many at a time as there are cores, as a benchmark does.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tasks
from search.bench.contenders import Contender, find, trials
from search.bench.drive import threads
from search.bench.engine import Group, Program, train
from search.cluster import InProcess
from search.training import COURSES

OPTIMIZERS, TRIALS, SEEDS, POINTS = ("adamw", "lion", "momentum"), 10, 3, 20
TIMED = 1
"""Trials of each optimizer that the plain loop is timed on, each with all seeds."""

SUITE = "held_out"
TASKS = (
    "quadratic_8x6_6_cond100_noise0.1_seed101",
    "mnist1d_mlp_64_relu_b32",
    "flower_8_color_middle_conv_12x24_gelu_b16_he_normal_norm_layer",
    "flower_8_vae_48x8_relu_b32",
    "web_gru_e12_h24_c24_b8_orthogonal",
    "web_transformer_l2_w24_h2_c16_b8",
)


def groups() -> tuple[Group, ...]:
    """All trials."""
    return tuple(Group(find(o), "cosine", trials(find(o), TRIALS, "grid")) for o in OPTIMIZERS)


def whole(name: str, steps: int) -> float:
    """Seconds of all trials of a task in one program, with compiling it."""
    began = time.perf_counter()
    task, interval = tasks.get(name), steps // POINTS
    train(task, groups(), seeds=range(SEEDS), interval=interval, points=[POINTS])
    return time.perf_counter() - began


def running(name: str, steps: int) -> float:
    """The same without compiling."""
    program = Program(tasks.get(name), groups(), steps // POINTS)
    scalars = [group.scalars() for group in groups()]
    seeds, total = jnp.arange(SEEDS, dtype=jnp.int32), jnp.float32(steps)
    state = program.start(scalars, seeds, total)
    state, *_ = program.advance(state, scalars, seeds, jnp.int32(0), total)
    jax.block_until_ready(state)
    began = time.perf_counter()
    for k in range(5):
        state, *_ = program.advance(state, scalars, seeds, jnp.int32(k), total)
    jax.block_until_ready(state)
    return (time.perf_counter() - began) / 5 * POINTS


def plain(name: str, steps: int) -> tuple[float, float]:
    """Seconds of all trials one after the other: with compiling, and without."""
    task, found = tasks.get(name), []
    for optimizer in OPTIMIZERS:
        rates = trials(find(optimizer), TRIALS, "grid")["learning_rate"]
        for rate in rates[TRIALS // 2 :][:TIMED]:
            found.append(_plain_trial(task, find(optimizer), rate, steps))
    count = len(OPTIMIZERS) * TRIALS
    compiled, ran = count * np.mean(found, axis=0)
    return float(compiled), float(ran)


def _plain_trial(task: tasks.Task, contender: Contender, rate: float, steps: int) -> tuple:
    began = time.perf_counter()
    optimizer = contender.build(lambda k: rate * COURSES["cosine"](k / jnp.float32(steps)))
    optimizer = optax.with_extra_args_support(optimizer)

    @jax.jit
    def step(params: tasks.Params, state: optax.OptState, key: jax.Array) -> tuple:
        loss, gradient = jax.value_and_grad(task.loss)(params, task.batch(key))
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return optax.apply_updates(params, updates), state, loss

    evaluate = jax.jit(lambda params: task.evaluate(params, "validation"))
    init = jax.jit(task.init)
    compiled = 0.0
    for seed in range(SEEDS):
        key = jax.random.key(seed)
        params = init(key)
        state = optimizer.init(params)
        for k in range(steps):
            params, state, _ = step(params, state, jax.random.fold_in(key, k))
            if k == 0 and seed == 0:
                evaluate(params).block_until_ready()
                compiled = time.perf_counter() - began
            if (k + 1) % (steps // POINTS) == 0:
                float(evaluate(params))
    seconds = time.perf_counter() - began
    return seconds, seconds - compiled


def measure() -> dict:
    """All figures."""
    began = time.perf_counter()
    InProcess(threads()).run(lambda name: whole(name, tasks.steps(SUITE)[name]), TASKS)
    together = time.perf_counter() - began
    found: dict = {
        "device": jax.devices()[0].device_kind,
        "together_s": together,
        "threads": threads(),
        "tasks": {},
    }
    for name in TASKS:
        steps = tasks.steps(SUITE)[name]
        ours, ours_running = whole(name, steps), running(name, steps)
        theirs, theirs_running = plain(name, steps)
        found["tasks"][name] = {
            "batched_s": ours,
            "plain_s": theirs,
            "ratio": theirs / ours,
            "ratio_without_compiling": theirs_running / ours_running,
        }
        print(
            f"{name:65} {ours:8.1f} s {theirs:8.1f} s {theirs / ours:8.1f} x "
            f"{theirs_running / ours_running:8.1f} x without compiling",
            flush=True,
        )
    found["ratio_together"] = sum(r["plain_s"] for r in found["tasks"].values()) / together
    print(
        f"side by side, as a benchmark runs them: {together:.1f} s, {found['ratio_together']:.1f} x"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    out = parser.parse_args().out
    found = measure()
    if out:
        out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
