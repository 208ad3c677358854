"""Checks of Muon, what comes from it, and of other methods that normalize matrices."""

import numpy as np
import optax
from baseline_checks.trajectories import Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes
from metaopt.baselines.shared.newton_schulz import DION, QUINTIC

# Vectors go to plain SGD, which a reading in numpy can do too.
VECTORS = optax.sgd(0.01)


def only_w(params):
    return {k: axes if k == "w" else None for k, axes in torch_axes(params).items()}


def adamw_of_po(b2):
    """What pytorch_optimizer does with parameters that are not for its Muon."""
    return optax.adamw(3e-4, 0.9, b2, eps=1e-10, weight_decay=0.0)


# Implementations divide by max(norm, eps), which is the norm, and not by norm + eps.
def muon_w(**hyperparameters):
    return baselines.muon(0.02, eps=0.0, matrix_axes=only_w, **hyperparameters)


def adamuon_w(rate, **hyperparameters):
    return baselines.adamuon(
        rate,
        0.9,
        0.95,
        1e-10,
        nesterov=False,
        sign=False,
        ns_eps=0.0,
        matrix_axes=only_w,
        **hyperparameters,
    )


def normuon_w(ns_eps, **hyperparameters):
    return baselines.normuon(
        0.02, adjust="original", ns_eps=ns_eps, matrix_axes=only_w, **hyperparameters
    )


OVERWRITTEN = (
    "the momentum is overwritten by the fourth of the Newton-Schulz iterates, whose buffers it "
    "lends where there is no cast to bfloat16; the papers average gradients"
)

REFERENCES: dict[str, Case] = {
    "muon__torch": Case(muon_w, parts=("w",)),
    "muon__zij": Case(muon_w, parts=("w",)),
    "muon__po": Case(lambda: muon_w(fallback=adamw_of_po(0.95))),
    "muon__timm": Case(
        lambda: baselines.muon(0.02, matrix_axes=torch_axes),
        departs="a matrix with a side below 4 goes to AdamW, here all of them; the author's code "
        "has no such rule",
        at=1,
    ),
    "muon__heavyball": Case(
        lambda: baselines.muon(0.02, 0.9, coefficients=DION, eps=0.0, matrix_axes=torch_axes),
        parts=("w", "c"),
        rtol=1e-6,  # It adds up in float32.
        departs="G + M in place of (1 - b) G + b M, which the author's code has",
        at=2,
    ),
    "adamuon__po": Case(
        lambda: adamuon_w(0.02, fallback=adamw_of_po(0.999)),
        departs=OVERWRITTEN,
        at=2,
    ),
    # It scales to the norm 0.2 sqrt(max(m, n)), which the learning rate makes up for.
    "adamuon__zij": Case(lambda: adamuon_w(0.02 / 3**0.5), parts=("w",)),
    "normuon__po": Case(lambda: normuon_w(0.0, fallback=adamw_of_po(0.95))),
    "normuon__zij": Case(lambda: normuon_w(1e-7), parts=("w",)),
    "scion__po": Case(
        lambda: baselines.scion(
            0.01, radius=1.0, unconstrained=True, eps=0.0, matrix_axes=torch_axes
        ),
        departs=OVERWRITTEN,
        at=2,
    ),
    "scion__zij": Case(lambda: baselines.scion(0.01, radius=1.0, matrix_axes=torch_axes)),
}


# ---------------------------------------------------------------- readings


def matrixwise(function):
    """A trajectory over a tree from one over a matrix; vectors do `VECTORS`."""

    def trajectory(start, gradients):
        if start.ndim < 2:
            return [start - 0.01 * total for total in np.cumsum(gradients, axis=0)]
        rows = len(start)
        steps = function(start.reshape(rows, -1), [g.reshape(rows, -1) for g in gradients])
        return [w.reshape(start.shape) for w in steps]

    return leafwise(trajectory)


def iterated(x, coefficients, eps=1e-7):
    """Newton-Schulz iterations, by what they do to singular values."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / (np.linalg.norm(x) + eps)
    for a, b, c in coefficients:
        s = a * s + b * s**3 + c * s**5
    return u @ np.diag(s) @ vt


def norm_of(x, axis):
    return np.sqrt(np.sum(x**2, axis=axis, keepdims=True))


def braked(u):
    z = 1.5 * u / (np.sqrt(np.sum(u**2)) + 1e-7)
    return u / (np.sqrt(np.mean(((np.exp(z) + np.exp(-z)) / 2) ** 2)) + 1e-8)


def auon(orthogonal):
    def trajectory(w, gradients):
        m, steps = 0 * w, []
        for g in gradients:
            m = 0.95 * m + 0.05 * g
            u = 0.05 * g + 0.95 * m
            if orthogonal and w.ndim >= 2:
                u = iterated(u.reshape(len(u), -1), [QUINTIC] * 5).reshape(w.shape)
            w = w - 0.1 * (braked(u) + 0.3 * w)
            steps.append(w)
        return steps

    return leafwise(trajectory)


def reg(w, gradients):
    m, steps = 0 * w, []
    for g in gradients:
        m = 0.9 * m + 0.1 * g
        rows = np.diag(np.linalg.norm(m, axis=1) ** -0.5)
        columns = np.diag(np.linalg.norm(m, axis=0) ** -0.5)
        x = rows @ m @ columns
        w = w - 0.05 * (0.2 * np.sqrt(x.size) * x / np.linalg.norm(x) + 0.3 * w)
        steps.append(w)
    return steps


def root(w, gradients):
    m, steps = 0 * w, []
    for g in gradients:
        m = 0.9 * m + g
        u = g + 0.9 * m
        # The quantile by hand: linear between order statistics.
        ordered = np.sort(np.abs(u).ravel())
        at = 0.8 * (u.size - 1)
        k = int(np.floor(at))
        threshold = ordered[k] + (at - k) * (ordered[k + 1] - ordered[k]) + 1e-9
        outliers = np.sign(u) * np.maximum(np.abs(u) - threshold, 0)
        fitted = (3.0, -4.0, 2.0) if sorted(w.shape) == [3, 4] else QUINTIC
        x = iterated(u - outliers, [fitted] * 5)
        w = w - 0.05 * (0.2 * np.sqrt(max(w.shape)) * x + 0.3 * w)
        steps.append(w)
    return steps


def swan(w, gradients):
    steps = []
    for g in gradients:
        x = (g - g.mean(axis=1, keepdims=True)) / g.std(axis=1, keepdims=True)
        y = iterated(x, [(1.5, -0.5, 0.0)] * 10)
        w = w - 0.05 * (np.linalg.norm(x) / np.linalg.norm(y) * y + 0.3 * w)
        steps.append(w)
    return steps


def sinkgd(w, gradients):
    m, n = w.shape
    steps = []
    for g in gradients:
        x = g
        for _ in range(3):
            x = np.sqrt(n) * np.diag(1 / np.linalg.norm(x, axis=1)) @ x
            x = np.sqrt(m) * x @ np.diag(1 / np.linalg.norm(x, axis=0))
        w = w - 0.05 * (x + 0.3 * w)
        steps.append(w)
    return steps


def multinorm(w, gradients):
    m, n = w.shape
    steps = []
    for g in gradients:
        x = g
        for _ in range(2):
            x = np.sqrt(n) * x / norm_of(x, 1)
            x = iterated(x, [(1.5, -0.5, 0.0)] * 10)
            x = np.sqrt(m * n) * x / np.linalg.norm(x)
            x = np.sqrt(m) * x / norm_of(x, 0)
        w = w - 0.05 * (x + 0.3 * w)
        steps.append(w)
    return steps


def hyperp(w, gradients):
    m, radius, steps = 0 * w, np.linalg.norm(w), []
    for g in gradients:
        m = 0.95 * m + g
        u = iterated(g + 0.95 * m, DION, 1e-8)
        w = w - 0.1 * 2**-0.32 * radius * u / np.linalg.norm(u)
        w = radius * w / np.linalg.norm(w)
        steps.append(w)
    return steps


MATRICES = {"fallback": VECTORS, "matrix_axes": torch_axes}
DECAYED = {"weight_decay": 0.3, **MATRICES}

READINGS: dict[str, Reading] = {
    "auon": Reading(lambda: baselines.auon(0.1, weight_decay=0.3), auon(False)),
    "hybrid_auon": Reading(
        lambda: baselines.hybrid_auon(0.1, weight_decay=0.3, matrix_axes=torch_axes), auon(True)
    ),
    "reg": Reading(lambda: baselines.reg(0.05, 0.9, **DECAYED), matrixwise(reg)),
    "root": Reading(
        lambda: baselines.root(
            0.05, 0.9, quantile=0.8, coefficients={(3, 4): (3.0, -4.0, 2.0)}, **DECAYED
        ),
        matrixwise(root),
    ),
    "swan": Reading(lambda: baselines.swan(0.05, **DECAYED), matrixwise(swan)),
    "sinkgd": Reading(lambda: baselines.sinkgd(0.05, 3, **DECAYED), matrixwise(sinkgd)),
    "multinorm": Reading(
        lambda: baselines.multinorm(0.05, ("row", "spectral", "column"), 2, **DECAYED),
        matrixwise(multinorm),
    ),
    "hyperp": Reading(
        lambda: baselines.hyperp(0.1, data_ratio=2.0, **MATRICES), matrixwise(hyperp)
    ),
}
