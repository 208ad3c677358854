"""Checks of the methods that step by signs."""

from collections.abc import Sequence

import numpy as np
from baseline_checks.trajectories import Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.sign.lion_k import lp

REFERENCES: dict[str, Case] = {
    "sign_gd__po": Case(lambda: baselines.sign_gd(0.01)),
    "sign_sgd__po": Case(lambda: baselines.sign_sgd(0.01)),
    **{
        f"lion__{library}": Case(lambda: baselines.lion(0.01, weight_decay=0.1))
        for library in ("lion_pytorch", "po", "timm")
    },
    "ano__po": Case(lambda: baselines.ano(0.01, weight_decay=0.1)),
    "anolog__po": Case(lambda: baselines.anolog(0.01, weight_decay=0.1)),
}


@leafwise
def _lion_k(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """With K the norm |x|_1.5."""
    m, path = np.zeros_like(w), []
    for g in gradients:
        x = 0.8 * m + 0.2 * g
        norm = np.sum(np.abs(x) ** 1.5) ** (1 / 1.5)
        w = w - 0.05 * (np.sign(x) * np.sqrt(np.abs(x) / norm) + 0.1 * w)
        m = 0.95 * m + 0.05 * g
        path.append(w)
    return path


@leafwise
def _rprop(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Coordinate by coordinate: the rules for delta and w of section 2."""
    path = np.empty((len(gradients), w.size))
    for i, x in enumerate(w.ravel()):
        delta, change, last = 0.05, 0.0, 0.0
        for t, g in enumerate(array.flat[i] for array in gradients):
            if g * last > 0:
                delta = min(1.2 * delta, 0.08)
                change = -np.sign(g) * delta
            elif g * last < 0:
                delta = max(0.5 * delta, 0.02)
                change, g = -change, 0.0
            else:
                change = -np.sign(g) * delta
            x, last = x + change, g
            path[t, i] = x
    return list(path.reshape(-1, *w.shape))


@leafwise
def _core(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The algorithm in the documentation of the authors' package."""
    history, share, decay, path = 3, 0.3, 0.1, []
    g_bar, h, s, scores = (
        np.zeros_like(w),
        np.zeros_like(w),
        np.full_like(w, 0.02),
        np.zeros_like(w),
    )
    for t, gradient in enumerate(gradients, 1):
        beta = 0.8 + (0.6 - 0.8) * np.exp(-(((t - 1) / 5) ** 2))
        last, g_bar = g_bar, beta * g_bar + (1 - beta) * gradient
        h = 0.9 * h + 0.1 * gradient**2
        plastic = np.ones(w.size)
        if t > history:
            plastic[np.argsort(scores.ravel())[w.size - int(share * w.size) :]] = 0
        plastic = plastic.reshape(w.shape)
        product = last * g_bar * plastic
        s = np.where(product > 0, np.minimum(1.2 * s, 0.03), s)
        s = np.where(product < 0, np.maximum(0.7 * s, 0.01), s)
        u = g_bar / (1 - beta**t) / (np.sqrt(h / (1 - 0.9**t)) + 1e-8)
        gain = g_bar * u * plastic * s / history
        scores = scores + gain if t <= history else (1 - 1 / history) * scores + gain
        w = (1 - decay * np.abs(u) * plastic * s) * w - u * plastic * s
        path.append(w)
    return path


@leafwise
def _grams(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    m, v, path = np.zeros_like(w), np.zeros_like(w), []
    for t, g in enumerate(gradients, 1):
        m = 0.8 * m + 0.2 * g
        v = 0.9 * v + 0.1 * g**2
        u = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        w = (1 - 0.05 * 0.1) * w - 0.05 * np.sign(g) * np.abs(u)
        path.append(w)
    return path


READINGS: dict[str, Reading] = {
    "lion_k": Reading(
        lambda: baselines.lion_k(0.05, 0.8, 0.95, kappa=lp(1.5), weight_decay=0.1), _lion_k
    ),
    "rprop": Reading(lambda: baselines.rprop(0.05, min_step_size=0.02, max_step_size=0.08), _rprop),
    "core": Reading(
        lambda: baselines.core(
            0.02,
            0.6,
            0.9,
            final_b1=0.8,
            b1_steps=5.0,
            eta_minus=0.7,
            min_step_size=0.01,
            max_step_size=0.03,
            score_history=3,
            frozen=0.3,
        ),
        _core,
    ),
    "grams": Reading(lambda: baselines.grams(0.05, 0.8, 0.9, 1e-3, weight_decay=0.1), _grams),
}
