"""Checks of the methods for games, and of those that sample."""

import math
from collections.abc import Sequence

import jax
import numpy as np
import optax
from baseline_checks.trajectories import Arrays, Case, Reading, leafwise

from metaopt import baselines

REFERENCES: dict[str, Case] = {}

BETA = 0.8 * complex(math.cos(0.5), math.sin(0.5))


@leafwise
def _complex_momentum(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    mu, path = np.zeros(w.shape, complex), []
    for g in gradients:
        mu = BETA * mu - g
        w = w + np.real(0.05 * mu)
        path.append(w)
    return path


@leafwise
def _complex_adam(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    mu, v, path = np.zeros(w.shape, complex), np.zeros_like(w), []
    for t, g in enumerate(gradients, 1):
        mu = BETA * mu - g
        v = 0.9 * v + 0.1 * g**2
        w = w + 0.05 * np.real(mu) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        path.append(w)
    return path


def _ttur(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Heavy-ball SGD, at 0.01 for w and b and at 0.04 for c."""
    rates, w = {"w": 0.01, "b": 0.01, "c": 0.04}, dict(start)
    m, path = {k: np.zeros_like(v) for k, v in start.items()}, []
    for g in gradients:
        m = {k: 0.9 * m[k] + g[k] for k in m}
        w = {k: w[k] - rates[k] * m[k] for k in w}
        path.append(w)
    return path


@leafwise
def _wgan_weight_clipping(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    path = []
    for g in gradients:
        w = np.minimum(np.maximum(w - 0.1 * g, -0.4), 0.4)
        path.append(w)
    return path


def _draws(start: Arrays, seed: int, steps: int) -> list[dict[str, np.ndarray]]:
    """The noise of a seed: at each step, of the second half of the split key."""
    key, noises = jax.random.key(seed), []
    for _ in range(steps):
        key, this = jax.random.split(key)
        with jax.enable_x64(True):
            noise = optax.tree.random_like(this, dict(start), jax.random.normal)
        noises.append({k: np.asarray(v) for k, v in noise.items()})
    return noises


def _langevin_mc(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    w, path = dict(start), []
    for g, noise in zip(gradients, _draws(start, 5, len(gradients)), strict=True):
        w = {k: w[k] - 0.05 * g[k] + math.sqrt(2 * 0.05 / 20.0) * noise[k] for k in w}
        path.append(w)
    return path


def _adam_lmc(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    w, path = dict(start), []
    m, v = ({k: np.zeros_like(a) for k, a in start.items()} for _ in range(2))
    for g, noise in zip(gradients, _draws(start, 5, len(gradients)), strict=True):
        m = {k: 0.8 * m[k] + 0.2 * g[k] for k in w}
        v = {k: 0.9 * v[k] + 0.1 * g[k] ** 2 for k in w}
        push = {k: g[k] + 0.7 * m[k] / (np.sqrt(v[k]) + 1e-3) for k in w}
        w = {k: w[k] - 0.05 * push[k] + math.sqrt(2 * 0.05 / 20.0) * noise[k] for k in w}
        path.append(w)
    return path


READINGS: dict[str, Reading] = {
    "complex_momentum": Reading(
        lambda: baselines.complex_momentum(0.05, 0.8, angle=0.5), _complex_momentum
    ),
    "complex_adam": Reading(
        lambda: baselines.complex_adam(0.05, 0.8, 0.9, 1e-3, angle=0.5), _complex_adam
    ),
    "ttur": Reading(
        lambda: baselines.ttur(
            optax.sgd(0.01, 0.9),
            4.0,
            players=lambda params: {
                k: "discriminator" if k == "c" else "generator" for k in params
            },
        ),
        _ttur,
    ),
    "wgan_weight_clipping": Reading(
        lambda: baselines.wgan_weight_clipping(optax.sgd(0.1), 0.4), _wgan_weight_clipping
    ),
    "langevin_mc": Reading(lambda: baselines.langevin_mc(0.05, 20.0, seed=5), _langevin_mc),
    "adam_lmc": Reading(
        lambda: baselines.adam_lmc(
            0.05, 0.8, 0.9, 1e-3, bias=0.7, inverse_temperature=20.0, seed=5
        ),
        _adam_lmc,
    ),
}
