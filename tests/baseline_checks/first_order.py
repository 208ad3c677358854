"""Checks of the first-order methods."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from baseline_checks.trajectories import Arrays, Case, Reading, leafwise, read

from metaopt import baselines


def _gravity_at(name: str) -> optax.GradientTransformation:
    """Gravity from the first velocity that an implementation drew."""
    reference = read(name)
    rate, alpha = (reference.meta["kw"][k] for k in ("lr", "alpha"))
    optimizer = baselines.gravity(rate, alpha, reference.meta["kw"]["beta"])
    drawn = dict(zip(("w", "b", "c"), reference.draws, strict=True))

    def init(params):
        state = optimizer.init(params)
        return state._replace(v={k: jnp.asarray(alpha / rate * drawn[k]) for k in params})

    return optax.GradientTransformationExtraArgs(init, optimizer.update)


def _swats() -> optax.GradientTransformation:
    return baselines.swats(0.01, b2=0.99, eps=1e-6)


REFERENCES: dict[str, Case] = {
    "sgd__torch": Case(lambda: baselines.sgd(0.1)),
    "nesterov_sgd__torch": Case(lambda: baselines.nesterov_sgd(0.05)),
    "gravity__po": Case(lambda: _gravity_at("gravity__po")),
    "sgd_sai__sgd_sai": Case(lambda: baselines.sgd_sai(0.01)),
    "sgd_sai__po": Case(
        lambda: baselines.sgd_sai(0.01),
        departs="starts its momentum at zero, and leaves vectors' learning rates as they are; the "
        "authors' package starts it at the first gradient and scales them all",
        at=1,
    ),
    # It adds 1e-15 to v.
    "swats__po": Case(_swats, atol=1e-10),
    "swats__swats": Case(_swats),
}


@leafwise
def _momentum_sgd(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Polyak's w_{t+1} = w_t - lr g + momentum (w_t - w_{t-1})."""
    path = [w, w]
    for g in gradients:
        path.append(path[-1] - 0.05 * g + 0.8 * (path[-1] - path[-2]))
    return path[2:]


@leafwise
def _nag_gs(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The iterations of algorithm 1, of which the first is half done: x_1 = x_0 since v_0 = x_0."""
    alpha, mu, gamma, v, path = 0.3, 0.7, 2.0, w, []
    a = alpha / (alpha + 1)
    for g in gradients:
        gamma = (1 - a) * gamma + a * mu
        b = alpha * mu / (alpha * mu + gamma)
        v = (1 - b) * v + b * w - b / mu * g
        w = (1 - a) * w + a * v
        path.append(w)
    return path


@leafwise
def _inna(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    rate, alpha, beta, decay, path = 0.05, 0.4, 0.2, 0.1, []
    psi = (1 - alpha * beta) * w
    for g in gradients:
        w = w - rate * decay * w
        drift = (1 / beta - alpha) * w - psi / beta
        w, psi = w + rate * (drift - beta * g), psi + rate * drift
        path.append(w)
    return path


@leafwise
def _innaprop(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """As the paper writes it: the new psi, and coefficients over beta - rate."""
    rate, alpha, beta, sigma, decay, path = 0.05, 0.3, 0.8, 0.9, 0.1, []
    psi, v = (1 - alpha * beta) * w, np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        w = (1 - rate * decay) * w
        v = sigma * v + (1 - sigma) * g**2
        scaled = g / (np.sqrt(v / (1 - sigma**t)) + 1e-8)
        psi = (1 - rate / beta) * psi + rate * (1 / beta - alpha) * w
        w = (
            (1 + rate * (1 - beta * alpha) / (beta - rate)) * w
            - rate / (beta - rate) * psi
            - rate * beta * scaled
        )
        path.append(w)
    return path


def _gradient_noise(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    key, w, path = jax.random.key(3), dict(start), []
    for t, g in enumerate(gradients):
        key, this = jax.random.split(key)
        with jax.enable_x64(True):
            noise = optax.tree.random_like(this, dict(start), jax.random.normal)
        deviation = np.sqrt(0.3 / (1 + t) ** 0.55)
        w = {k: w[k] - 0.1 * (g[k] + deviation * np.asarray(noise[k])) for k in w}
        path.append(w)
    return path


def _sgd_freeze_embed(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    w, m, path = dict(start), {k: np.zeros_like(v) for k, v in start.items()}, []
    for g in gradients:
        m = {k: 0.8 * m[k] + g[k] for k in m}
        w = {k: w[k] if k == "w" else w[k] - 0.05 * m[k] for k in w}
        path.append(w)
    return path


READINGS: dict[str, Reading] = {
    "momentum_sgd": Reading(lambda: baselines.momentum_sgd(0.05, 0.8), _momentum_sgd),
    "nag_gs": Reading(lambda: baselines.nag_gs(0.3, mu=0.7, gamma=2.0), _nag_gs),
    "inna": Reading(lambda: baselines.inna(0.05, 0.4, 0.2, weight_decay=0.1), _inna),
    "innaprop": Reading(
        lambda: baselines.innaprop(0.05, 0.3, 0.8, 0.9, weight_decay=0.1), _innaprop
    ),
    "gradient_noise": Reading(
        lambda: baselines.gradient_noise(optax.sgd(0.1), eta=0.3, seed=3), _gradient_noise
    ),
    "sgd_freeze_embed": Reading(
        lambda: baselines.sgd_freeze_embed(
            0.05, 0.8, roles=lambda params: {k: "embedding" if k == "w" else "head" for k in params}
        ),
        _sgd_freeze_embed,
    ),
}
