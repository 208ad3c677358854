"""What is known of well-known optimizers, found again by the benchmark's own machinery.

    python -m experiments.known_facts [--out FILE.json]

A harness that missed these would not be worth its verdicts; `tests/bench/test_known_facts.py` holds
it to them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tasks
from search.bench.contenders import find
from search.bench.engine import Group, train
from search.bench.measures import best_trial, scores
from search.bench.results import Trials
from search.bench.statistics import signed_rank_test
from tasks.families.conv import ConvNet
from tasks.families.mlp import MLP
from tasks.families.quadratic import Quadratic
from tasks.families.text_mlp import TextMLP
from tasks.families.transformer import TextTransformer

POINTS = 10


class Tuned(NamedTuple):
    """An optimizer at its best learning rate on a task: the rate, and the test loss by seed."""

    rate: float
    losses: np.ndarray


def run(
    config: tasks.TaskConfig,
    names: Sequence[str],
    *,
    rates: Sequence[Sequence[float]],
    steps: int,
    seeds: Sequence[int],
    schedule: str = "cosine",
    **fixed: float,
) -> list[Trials]:
    """Trials of optimizers on a task, at the same values of other hyperparameters."""
    groups = [
        Group(
            find(name),
            schedule,
            {"learning_rate": np.array(own)}
            | {key: np.full(len(own), value) for key, value in fixed.items()},
        )
        for name, own in zip(names, rates, strict=True)
    ]
    _, (found,) = train(
        config.build(), groups, seeds=seeds, interval=steps // POINTS, points=[POINTS]
    )
    return found


def tuned(config: tasks.TaskConfig, trials: Trials) -> Tuned:
    """The best trial by validation loss."""
    best = best_trial(trials, config.build().trivial_loss)
    return Tuned(float(trials.hyperparameters["learning_rate"][best]), trials.test[best])


def geometric(highest: float, count: int, ratio: float) -> np.ndarray:
    """Rates downwards from the highest, each divided by the ratio."""
    return highest / ratio ** np.arange(count)


# ---------------------------------------------------------------- the facts


def heavy_tailed_classes() -> dict[str, float]:
    """Adam beats SGD, also with momentum, on a Transformer over words, most of which are rare.

    Kunstner et al., arXiv 2402.19449.
    """
    config = TextTransformer("kjv_words", layers=1, width=16, heads=2, context=16, batch_size=16)
    names = ("adam", "sgd", "momentum_sgd")
    rates = [geometric(top, 6, 3.0) for top in (0.1, 10.0, 3.0)]
    trials = run(config, names, rates=rates, steps=400, seeds=range(2))
    found = {n: tuned(config, t).losses.mean() for n, t in zip(names, trials, strict=True)}
    return {f"loss of {name}": float(loss) for name, loss in found.items()}


def decoupled_weight_decay() -> dict[str, float]:
    """AdamW and Adam with L2 at the same strength of decay end in different places.

    Loshchilov and Hutter, arXiv 1711.05101.
    """
    config = MLP("digits", (32,), "relu", 32)
    rates = [geometric(0.1, 5, 3.0)] * 2
    trials = run(
        config, ("adamw", "adam_l2"), rates=rates, steps=400, seeds=range(6), weight_decay=0.1
    )
    adamw, l2 = (tuned(config, t).losses for t in trials)
    return {
        "loss of adamw": float(adamw.mean()),
        "loss of adam with L2": float(l2.mean()),
        "seeds where adamw is lower": int((adamw < l2).sum()),
    }


def lions_learning_rate() -> dict[str, float]:
    """Lion's best learning rate is 3 to 10 times smaller than AdamW's.

    Chen et al., arXiv 2302.06675, section 5.
    """
    configs = (MLP(), MLP("breast_cancer", (24, 24), "tanh", 16), ConvNet(), TextMLP())
    ratios = []
    for config in configs:
        rates = [geometric(0.1, 13, 10**0.25), geometric(0.02, 13, 10**0.25)]
        trials = run(config, ("adamw", "lion"), rates=rates, steps=300, seeds=range(3))
        adamw, lion = (tuned(config, t).rate for t in trials)
        ratios.append(adamw / lion)
    return {
        "adamw's rate over lion's, geometric mean": float(np.exp(np.log(ratios).mean())),
        "lowest": float(min(ratios)),
        "highest": float(max(ratios)),
    }


def momentum_on_convolutions() -> dict[str, float]:
    """SGD with momentum, tuned, keeps up with Adam on convolutional networks."""
    configs = (ConvNet(), ConvNet(channels=(8,), activation="tanh"), ConvNet(norm="layer"))
    found = []
    for config in configs:
        rates = [geometric(0.1, 6, 3.0), geometric(1.0, 6, 3.0)]
        trials = run(config, ("adam", "momentum_sgd"), rates=rates, steps=400, seeds=range(3))
        found.append([tuned(config, t).losses.mean() for t in trials])
    adam, momentum = np.array(found).T
    ratio = np.exp(np.log(momentum / adam).mean())
    return {"momentum's loss over adam's, geometric mean": float(ratio)}


def compared_with_itself(repeats: int = 400) -> dict[str, float]:
    """Of comparisons of AdamW with itself on other seeds, the fraction that seem significant."""
    widths = (4, 6, 8, 12, 16, 24)
    configs = [MLP(name, (w,), "tanh", 8) for name in ("wine", "breast_cancer") for w in widths]
    configs += [
        Quadratic(((4, 3), (3,)), condition_number=10.0**k, noise=0.3, seed=k) for k in range(4)
    ]
    seeds, rates = 48, geometric(0.1, 4, 3.0)
    trials = [
        run(config, ("adamw",), rates=[rates], steps=60, seeds=range(seeds))[0]
        for config in configs
    ]
    generator = np.random.Generator(np.random.PCG64(0))
    small = []
    for _ in range(repeats):
        gains = []
        for config, t in zip(configs, trials, strict=True):
            chosen = np.argsort(generator.random(seeds))[:6]
            trivial = config.build().trivial_loss
            first, second = (
                Trials(t.hyperparameters, t.steps, *(x[:, part] for x in t[2:]))
                for part in (chosen[:3], chosen[3:])
            )
            a, b = (
                scores(part, trivial)[best_trial(part, trivial)].mean() for part in (first, second)
            )
            gains.append(b - a)
        small.append(signed_rank_test(np.array(gains)) < 0.05)
    return {"significant at 5 %": float(np.mean(small)), "repeats": repeats}


FACTS = (
    heavy_tailed_classes,
    decoupled_weight_decay,
    lions_learning_rate,
    momentum_on_convolutions,
    compared_with_itself,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    out = parser.parse_args().out
    found = {}
    for fact in FACTS:
        found[fact.__name__] = fact()
        print(fact.__doc__.splitlines()[0])
        for name, value in found[fact.__name__].items():
            print(f"    {name:45} {value:.4g}")
    if out:
        out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
