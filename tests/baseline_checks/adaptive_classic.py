"""Checks of Adam, its ancestors and its older descendants."""

import math

import numpy as np
from baseline_checks.trajectories import Arrays, Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes

_BOUNDS = {"final_learning_rate": 0.1, "gamma": 1e-3}


def _adamp():
    return baselines.adamp(0.01, weight_decay=0.01, matrix_axes=torch_axes)


# The package adds 1e-15 under the root.
_UNDER_THE_ROOT = 1e-9

REFERENCES: dict[str, Case] = {
    "adam__torch": Case(lambda: baselines.adam(0.01)),
    "adamax__po": Case(lambda: baselines.adamax(0.01)),
    "adamax__torch": Case(lambda: baselines.adamax(0.01)),
    "amsgrad__torch": Case(
        lambda: baselines.amsgrad(0.01, 0.9, 0.99),
        departs="torch corrects biases, which the paper's algorithm does not",
        at=1,
    ),
    "adagrad__torch": Case(lambda: baselines.adagrad(0.1)),
    "rmsprop__torch": Case(lambda: baselines.rmsprop(0.01, 0.9)),
    "amsbound__adabound": Case(lambda: baselines.amsbound(0.01, **_BOUNDS)),
    "amsbound__po": Case(lambda: baselines.amsbound(0.01, **_BOUNDS), atol=_UNDER_THE_ROOT),
    "adamod__po": Case(lambda: baselines.adamod(0.01, 0.9, 0.99, 0.999)),
    "adamod__torch_optimizer": Case(lambda: baselines.adamod(0.01, 0.9, 0.99, 0.999)),
    "adamp__adamp": Case(_adamp),
    # The package adds eps before it corrects the second moment.
    "adamp__po": Case(_adamp, atol=1e-6),
    "adamp__timm": Case(_adamp),
    "radam__po": Case(lambda: baselines.radam(0.01)),
    # The package steps in float32.
    "radam__timm": Case(lambda: baselines.radam(0.01), rtol=3e-7, atol=3e-7),
    "radam__torch": Case(lambda: baselines.radam(0.01)),
    # The package steps in float32.
    "laprop__heavyball": Case(lambda: baselines.laprop(0.01), atol=3e-8),
    "laprop__po": Case(lambda: baselines.laprop(0.01), atol=_UNDER_THE_ROOT),
    "laprop__timm": Case(lambda: baselines.laprop(0.01)),
}


# ---------------------------------------------------------------- readings


def _amsgrad(w, gradients, lr=0.01, b1=0.9, b2=0.6, eps=1e-8):
    m = v = top = 0.0 * w
    for g in gradients:
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)
        w = w - lr * m / (np.sqrt(top) + eps)
        yield w


def _adamnc(w, gradients, lr=0.1, b1=0.9, lam=0.9, eps=1e-8):
    m = 0.0 * w
    for t, g in enumerate(gradients, 1):
        decay = b1 * lam ** (t - 1)
        m = decay * m + (1 - decay) * g
        v = np.mean([past**2 for past in gradients[:t]], axis=0)
        w = w - lr / math.sqrt(t) * m / (np.sqrt(v) + eps)
        yield w


def _adadelta(w, gradients, lr=0.7, rho=0.8, eps=1e-6):
    squares = moves = 0.0 * w
    for g in gradients:
        squares = rho * squares + (1 - rho) * g * g
        move = -np.sqrt((moves + eps) / (squares + eps)) * g
        moves = rho * moves + (1 - rho) * move * move
        w = w + lr * move
        yield w


def _nadam(w, gradients, lr=0.01, b1=0.9, b2=0.99, eps=1e-8, psi=3.0):
    def mu(t):
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    m = n = 0.0 * w
    for t, g in enumerate(gradients, 1):
        m, n = mu(t) * m + (1 - mu(t)) * g, b2 * n + (1 - b2) * g**2
        until = math.prod(mu(i) for i in range(1, t + 1))
        ahead = mu(t + 1) * m / (1 - until * mu(t + 1)) + (1 - mu(t)) * g / (1 - until)
        w = w - lr * ahead / (np.sqrt(b2 * n / (1 - b2**t)) + eps)
        yield w


def _yogi(w, gradients, lr=0.01, b1=0.9, b2=0.7, eps=1e-3, first=0.3):
    m, v = 0.0 * w, first + 0.0 * w
    for g in gradients:
        m = b1 * m + (1 - b1) * g
        # The same rule by cases: up if the square is above v, down if it is below.
        v = np.where(g**2 > v, v + (1 - b2) * g**2, v - (1 - b2) * g**2)
        w = w - lr * m / (np.sqrt(v) + eps)
        yield w


def _adashift(w, gradients, lr=0.01, b1=0.8, b2=0.9, eps=1e-10, n=4):
    weights = np.array([b1**i for i in range(n)])
    v = 0.0
    for t, _ in enumerate(gradients, 1):
        if t > n:
            latest = [gradients[t - 1 - i] for i in range(n)]
            m = np.tensordot(weights / weights.sum(), np.stack(latest), 1)
            v = b2 * v + (1 - b2) * (gradients[t - 1 - n] ** 2).max()
            w = w - lr * m / (math.sqrt(v / (1 - b2 ** (t - n))) + eps)
        yield w


def _adabound(w, gradients, lr=0.01, b1=0.9, b2=0.99, eps=1e-8, final=0.05, gamma=0.2):
    m = v = 0.0 * w
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        low, high = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
        size = lr * math.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(v) + eps)
        w = w - np.minimum(np.maximum(size, low), high) * m
        yield w


def _adabelief(w, gradients, lr=0.01, b1=0.9, b2=0.99, eps=1e-5):
    m = s = 0.0 * w
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps
        w = w - lr * m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + eps)
        yield w


def _diffgrad(w, gradients, lr=0.01, b1=0.9, b2=0.99, eps=1e-8):
    m = v = before = 0.0 * w
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        friction = 1 / (1 + np.exp(-np.abs(before - g)))
        size = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
        w, before = w - size * friction * m / (np.sqrt(v) + eps), g
        yield w


def _adagrad_norm(start: Arrays, gradients, lr=0.5, b0=2.0) -> list[Arrays]:
    w, b, after = start, b0, []
    for g in gradients:
        b = np.hypot(b, np.linalg.norm(np.concatenate([part.ravel() for part in g.values()])))
        w = {k: w[k] - lr / b * g[k] for k in w}
        after.append(w)
    return after


def _sgdp(w, gradients, lr=0.01, mu=0.8, decay=0.1, delta=0.4, ratio=0.1, eps=1e-8):
    m = 0.0 * w
    # As rows, then as a whole; vectors as neither.
    views = ((len(w), -1), (1, -1)) if w.ndim > 1 else ()
    for g in gradients:
        m = mu * m + g
        p, kept = g + mu * m, 1.0
        for view in views:
            ws, gs, ps = (a.reshape(view) for a in (w, g, p))
            lengths = [np.linalg.norm(a) for a in ws]
            cosines = [
                a @ b / (n * np.linalg.norm(b)) for a, b, n in zip(ws, gs, lengths, strict=True)
            ]
            if np.abs(cosines).max() < delta / math.sqrt(ws.shape[1]):
                units = [a / (n + eps) for a, n in zip(ws, lengths, strict=True)]
                tangents = [b - (a @ b) * a for a, b in zip(units, ps, strict=True)]
                p, kept = np.stack(tangents).reshape(w.shape), ratio
                break
        w = w * (1 - lr * decay * kept / (1 - mu)) - lr * p
        yield w


def _each(reading):
    return leafwise(lambda w, gradients: list(reading(w, gradients)))


READINGS: dict[str, Reading] = {
    "amsgrad": Reading(lambda: baselines.amsgrad(0.01, 0.9, 0.6), _each(_amsgrad)),
    "adamnc": Reading(lambda: baselines.adamnc(0.1, b1_decay=0.9), _each(_adamnc)),
    "adadelta": Reading(lambda: baselines.adadelta(0.7, 0.8), _each(_adadelta)),
    "nadam": Reading(lambda: baselines.nadam(0.01, b2=0.99, momentum_decay=3.0), _each(_nadam)),
    "yogi": Reading(
        lambda: baselines.yogi(0.01, b2=0.7, initial_accumulator_value=0.3), _each(_yogi)
    ),
    "adashift": Reading(lambda: baselines.adashift(0.01, 0.8, 0.9, keep=4), _each(_adashift)),
    "adabound": Reading(
        lambda: baselines.adabound(0.01, b2=0.99, final_learning_rate=0.05, gamma=0.2),
        _each(_adabound),
    ),
    "adabelief": Reading(
        lambda: baselines.adabelief(0.01, b2=0.99, eps=1e-5, eps_root=1e-5), _each(_adabelief)
    ),
    "diffgrad": Reading(lambda: baselines.diffgrad(0.01, b2=0.99), _each(_diffgrad)),
    "adagrad_norm": Reading(lambda: baselines.adagrad_norm(0.5, b0=2.0), _adagrad_norm),
    "sgdp": Reading(
        lambda: baselines.sgdp(
            0.01, 0.8, nesterov=True, weight_decay=0.1, delta=0.4, matrix_axes=torch_axes
        ),
        _each(_sgdp),
    ),
}
