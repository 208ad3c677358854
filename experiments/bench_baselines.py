"""How long a step of a baseline takes, beside Optax's own where Optax has one too, in one run.

    python -m experiments.bench_baselines [--out FILE.json]

A jitted step on a tree of 50 tensors, taken in turns; what counts is the ratio of medians. Where
the baseline is Optax's own function there is nothing to compare.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import optax

from metaopt import baselines
from search.bench.work import step_costs

RATE = 1e-3

Pair = tuple[Callable[[], optax.GradientTransformation], Callable[[], optax.GradientTransformation]]
"""Ours and Optax's."""

PAIRS: Mapping[str, Pair] = {
    "momentum_sgd": (
        lambda: baselines.momentum_sgd(RATE),
        lambda: optax.sgd(RATE, momentum=0.9),
    ),
    "nesterov_sgd": (
        lambda: baselines.nesterov_sgd(RATE),
        lambda: optax.sgd(RATE, momentum=0.9, nesterov=True),
    ),
    "rprop": (lambda: baselines.rprop(RATE), lambda: optax.rprop(RATE)),
    "adagrad": (lambda: baselines.adagrad(RATE), lambda: optax.adagrad(RATE)),
    "adan": (lambda: baselines.adan(RATE), lambda: optax.adan(RATE)),
    "ademamix": (
        lambda: baselines.ademamix(RATE, num_steps=None),
        lambda: optax.contrib.ademamix(RATE),
    ),
    "amsgrad": (lambda: baselines.amsgrad(RATE), lambda: optax.amsgrad(RATE)),
    "rmsprop": (lambda: baselines.rmsprop(RATE), lambda: optax.rmsprop(RATE)),
    "adadelta": (lambda: baselines.adadelta(RATE), lambda: optax.adadelta(RATE)),
    "nadam": (lambda: baselines.nadam(RATE), lambda: optax.nadam(RATE)),
    "novograd": (lambda: baselines.novograd(RATE), lambda: optax.novograd(RATE)),
    "radam": (lambda: baselines.radam(RATE), lambda: optax.radam(RATE)),
    "yogi": (lambda: baselines.yogi(RATE), lambda: optax.yogi(RATE)),
    "lars": (lambda: baselines.lars(RATE), lambda: optax.lars(RATE)),
    "sm3": (lambda: baselines.sm3(RATE), lambda: optax.sm3(RATE)),
    "dadapt_adam": (
        lambda: baselines.dadapt_adam(),
        lambda: optax.contrib.dadapt_adamw(),
    ),
    "dog": (lambda: baselines.dog(), lambda: optax.contrib.dog()),
    "prodigy": (lambda: baselines.prodigy(), lambda: optax.contrib.prodigy()),
    "muon": (lambda: baselines.muon(RATE), lambda: optax.contrib.muon(RATE)),
    "galore": (lambda: baselines.galore(RATE), lambda: optax.contrib.galore(RATE)),
    "clip_by_global_norm": (
        lambda: baselines.clip_by_global_norm(optax.sgd(RATE)),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(RATE)),
    ),
    "gradient_accumulation": (
        lambda: baselines.gradient_accumulation(optax.adam(RATE)),
        lambda: optax.MultiSteps(optax.adam(RATE), 4).gradient_transformation(),
    ),
}


def measure() -> dict[str, float]:
    """Time of a step of ours over that of Optax's."""
    found = {}
    for name, (ours, theirs) in PAIRS.items():
        ours_cost, theirs_cost = step_costs([ours(), theirs()])
        found[name] = ours_cost.step_time / theirs_cost.step_time
        print(f"{name:24} {found[name]:6.2f}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    out = parser.parse_args().out
    found = {"device": jax.devices()[0].device_kind, "ratios": measure()}
    if out:
        out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
