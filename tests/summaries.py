"""A benchmark that never ran: plausible losses of made-up trainings, and what they amount to."""

import functools
import itertools
from dataclasses import replace

import numpy as np

from search.bench.results import Cost, Facts, Results, Setting, Summary, Trials
from search.bench.summary import summarize

FAMILIES = """
mlp conv quadratic rosenbrock text_mlp text_transformer vae autoencoder recurrent norm mixture
logistic attention denoising implicit
"""
OPTIMIZERS = ("adamw", "sgd", "lion", "momentum", "discovered")
SETTINGS = (Setting(1.0, "cosine"), Setting(0.3, "constant"))


def results(
    *,
    count: int = 45,
    optimizers: tuple[str, ...] = OPTIMIZERS,
    settings: tuple[Setting, ...] = SETTINGS,
    rates: int = 10,
    seeds: int = 3,
    points: int = 20,
) -> Results:
    """Losses that fall like powers of the steps, in a valley of learning rates."""
    generator = np.random.default_rng(0)
    families = FAMILIES.split()
    tasks, trials = {}, {}
    for i in range(count):
        family = families[i * len(families) // count]
        variant = ("", "_noise0.1_seed1", "_he_normal_label_noise0.2_delay4")[i % 3]
        name = f"{family}_{8 * 2 ** (i % 4)}x{2 + i % 2}_{i}{variant}"
        steps = int(generator.choice([200, 400, 1000]))
        trivial = float(generator.uniform(0.7, 3.0))
        initial = trivial * float(generator.uniform(0.98, 1.3))
        size = int(10 ** generator.uniform(2, 4.5))
        tasks[name] = Facts(family, steps, size, 60 * size, trivial, initial)
        floor = 10 ** generator.uniform(-2.5, -0.2) * trivial
        for setting, (j, optimizer) in itertools.product(settings, enumerate(optimizers)):
            trials[name, setting, optimizer] = _trials(
                generator, setting, j, (floor, trivial, initial), steps, (rates, seeds, points)
            )
    costs = {name: Cost(1.0 + 0.4 * j, 2.0 - j % 3) for j, name in enumerate(optimizers[:-1])}
    provenance = {
        "device": "NVIDIA H100 <80 GB>",
        "date": "2025-01-01 12:00 UTC",
        "seconds": "754",
        "jax": "0.10.2",
    }
    return Results("made_up_v1", optimizers, settings, tasks, trials, costs, provenance)


def _trials(generator, setting, j, losses, steps, shape):
    """One optimizer on one task; `losses` are the floor, the trivial and the initial one."""
    (rates, seeds, points), (floor, trivial, initial) = shape, losses
    skill = (0.9, 0.55, 0.8, 0.7, 0.95)[j % 5] * generator.uniform(0.75, 1.1)
    best, width = generator.uniform(0.35, 0.9), (0.35, 0.15, 0.22, 0.2, 0.3)[j % 5]
    place = np.linspace(0, 1, rates)
    quality = skill * np.exp(-(((place - best) / width) ** 2))[:, None, None]
    at = np.linspace(1 / points, 1, points)
    course = at if setting.schedule == "constant" else at + 0.25 * at**6
    length = np.log1p(steps * setting.length * course) / np.log1p(1000)
    fall = np.exp(-5.5 * quality * length * np.log(initial / floor) / 4)
    noise = generator.normal(0, 0.04, (rates, seeds, 1)) + generator.normal(
        0, 0.03, (rates, seeds, points)
    )
    validation = (floor + (initial - floor) * fall) * np.exp(noise)
    test = validation[:, :, -1] * np.exp(generator.normal(0.02, 0.02, (rates, seeds)))
    training = validation * 0.95
    lost = generator.random((rates, seeds)) < 1.3 * np.maximum(place - best - 0.2, 0.003)[:, None]
    lost |= j == 1 and trivial > 2.7
    since = generator.integers(0, points, (rates, seeds))
    gone = lost[:, :, None] & (np.arange(points) >= since[:, :, None])
    validation[gone], training[gone], test[lost] = np.nan, np.nan, np.inf
    return Trials(
        {"learning_rate": np.geomspace(1e-4, 0.3, rates) * (1, 30, 0.3, 10, 1)[j % 5]},
        np.round(at * steps * setting.length).astype(np.int32),
        training.astype(np.float32),
        validation.astype(np.float32),
        test.astype(np.float32),
    )


def untuned(whole: Results, *names: str) -> Results:
    """The same with one trial of these optimizers, which have no learning rate."""
    trials = {
        key: Trials(
            {"learning_rate": np.array([np.nan])}, of.steps, *(losses[5:6] for losses in of[2:])
        )
        if key[2] in names
        else of
        for key, of in whole.trials.items()
    }
    return replace(whole, trials=trials)


@functools.cache
def summary() -> Summary:
    """What 45 tasks, 5 optimizers and 2 settings amount to."""
    return summarize(results())
