"""Checks of methods with small states that are not projections."""

import math
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from baseline_checks.trajectories import STEPS, Arrays, Case, Reading, leafwise

from metaopt import baselines

# ---------------------------------------------------------------- references

REFERENCES: dict[str, Case] = {
    # Optax computes its decay in float32. The references' parameters are smaller than it factors.
    "adafactor__torch": Case(
        lambda: baselines.adafactor(0.01, min_dim_size_to_factor=1), rtol=1e-7, atol=1e-8
    ),
    "adafactor__timm": Case(
        lambda: baselines.adafactor(0.01, multiply_by_parameter_scale=False), rtol=1e-7, atol=1e-8
    ),
    "adafactor__po": Case(
        lambda: baselines.adafactor(0.01, min_dim_size_to_factor=1, momentum=0.9),
        departs="it keeps the momentum in bfloat16, of which the paper says nothing",
        at=1,
    ),
    "came__came_pytorch": Case(lambda: baselines.came(0.01)),
    "came__po": Case(lambda: baselines.came(0.01)),
    "sm3__po": Case(lambda: baselines.sm3(0.1, 0.0)),
    "sm3__torch_SM3": Case(lambda: baselines.sm3(0.1, 0.0)),
    # These two compute in float32, whatever the parameters are.
    "adalomo__po": Case(lambda: baselines.adalomo(0.01), rtol=1e-6, atol=1e-6),
    "lomo__po": Case(lambda: baselines.lomo(0.05), rtol=1e-6, atol=1e-6),
}

# ---------------------------------------------------------------- averaged second moments

_SHAPES = {
    "embedding": (5, 3),
    "query": (3, 2, 2),
    "value": (3, 2, 2),
    "kernel": (3, 4),
    "head": (4, 2),
    "scale": (4,),
    "bias": (4,),
}
"""A network by flax's names: axes of a kernel are (inputs, outputs), or (inputs, heads, size)."""

_MINI = {
    "embedding": (1,),
    "query": (0, 2),
    "value": (0,),
    "kernel": (0,),
    "head": (0,),
    "scale": (0,),
    "bias": (),
}
"""Axes of Adam-mini's blocks: a token, a head, an output neuron, a normalization."""

_SLIM = {
    "embedding": (1,),
    "query": (0,),
    "value": (1, 2),
    "kernel": (1,),
    "head": (0,),
    "scale": (),
    "bias": (),
}
"""Axes that SlimAdam averages over: inputs of queries and heads, outputs of other matrices."""


def _adamw_of_averages(axes: dict[str, tuple[int, ...]], rate: float, decay: float):
    def trajectory(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        w = {k: a.copy() for k, a in start.items()}
        m = {k: np.zeros_like(a) for k, a in w.items()}
        v = {k: np.mean(np.zeros_like(a), axis=axes[k], keepdims=True) for k, a in w.items()}
        after = []
        for t, g in enumerate(gradients, 1):
            for k in w:
                m[k] = 0.9 * m[k] + 0.1 * g[k]
                v[k] = 0.99 * v[k] + 0.01 * np.mean(g[k] ** 2, axis=axes[k], keepdims=True)
                step = (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.99**t)) + 1e-3)
                shrunk = 0 if k in ("scale", "bias") else rate * decay
                w[k] = (1 - shrunk) * w[k] - rate * step
            after.append(dict(w))
        return after

    return trajectory


def _named(factory, axes) -> Reading:
    draw = np.random.default_rng(0)
    return Reading(
        lambda: factory(0.05, b2=0.99, eps=1e-3, weight_decay=0.1),
        _adamw_of_averages(axes, 0.05, 0.1),
        start={k: draw.normal(size=shape) for k, shape in _SHAPES.items()},
        gradients={k: draw.normal(size=(STEPS, *shape)) for k, shape in _SHAPES.items()},
    )


# ---------------------------------------------------------------- SMMF


def _smmf(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    shape = {12: (4, 3), 5: (5, 1)}[w.size]
    m, v = np.zeros(shape), np.zeros(shape)
    after = []
    for t, g in enumerate(gradients, 1):
        b1, b2 = 0.9 * 0.97 ** (t - 1), 1 - t**-0.6
        m = b1 * m + (1 - b1) * g.reshape(shape)
        v = b2 * v + (1 - b2) * g.reshape(shape) ** 2
        w = 0.999 * w - 0.01 * (m / (np.sqrt(v) + 1e-4)).reshape(w.shape)
        m = np.where(m > 0, 1, -1) * _rank_one(abs(m))
        v = _rank_one(v)
        after.append(w)
    return after


def _rank_one(x: np.ndarray) -> np.ndarray:
    return np.outer(x.sum(1), x.sum(0)) / x.sum()


# ---------------------------------------------------------------- MicroAdam


def _microadam(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    d, k, window = w.size, math.ceil(0.25 * w.size), 3
    error, remembered = np.zeros(d), []
    after = []
    for t, g in enumerate(gradients, 1):
        a = g.ravel() + error
        largest = np.argsort(-abs(a))[:k]
        sparse = np.zeros(d)
        sparse[largest] = _bfloat16(a[largest])
        remembered = [sparse, *remembered][:window]
        a[largest] = 0
        error = np.concatenate([_four_bits(a[i : i + 4]) for i in range(0, d, 4)])
        m = sum(0.9**age * s for age, s in enumerate(remembered)) * 0.1 / (1 - 0.9**t)
        v = sum(0.99**age * s**2 for age, s in enumerate(remembered)) * 0.01 / (1 - 0.99**t)
        w = 0.999 * w - 0.01 * (m / (np.sqrt(v) + 1e-4)).reshape(w.shape)
        after.append(w)
    return after


def _bfloat16(x: np.ndarray) -> np.ndarray:
    return x.astype(ml_dtypes.bfloat16).astype(np.float64)


def _four_bits(block: np.ndarray) -> np.ndarray:
    grid = np.linspace(_bfloat16(block.min()), _bfloat16(block.max()), 16)
    return grid[abs(block[:, None] - grid).argmin(1)]


READINGS: dict[str, Reading] = {
    "adam_mini": _named(baselines.adam_mini, _MINI),
    "slimadam": _named(baselines.slimadam, _SLIM),
    "smmf": Reading(
        lambda: baselines.smmf(0.01, eps=1e-4, decay_rate=-0.6, growth_rate=0.97, weight_decay=0.1),
        leafwise(_smmf),
    ),
    "microadam": Reading(
        lambda: baselines.microadam(
            0.01, b2=0.99, eps=1e-4, window=3, density=0.25, error_block=4, weight_decay=0.1
        ),
        leafwise(_microadam),
    ),
}
