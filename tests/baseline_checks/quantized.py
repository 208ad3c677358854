"""Checks of methods whose state is stored in eight bits."""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import optax
from baseline_checks.trajectories import Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes

REFERENCES: dict[str, Case] = {}

# ---------------------------------------------------------------- formats


def dynamic_numbers(*, signed: bool) -> np.ndarray:
    """Dynamic tree quantization as the paper describes it, number by number.

    Zeros after the sign say the decade, a one ends them, and what bits are left say the fraction:
    which of as many equal parts of [0.1, 1] it is the middle of.
    """
    numbers = [0.0, 1.0]
    for zeros in range(7):
        parts = 2 ** ((7 if signed else 8) - zeros - 1)
        for i in range(parts):
            number = (0.1 + 0.9 * (i + 0.5) / parts) / 10**zeros
            numbers += [number, -number] if signed else [number]
    return np.sort(np.array(numbers, np.float32)).astype(np.float64)


def in_blocks(x: np.ndarray, size: int, rounded: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What is left of an array after its blocks are scaled to [-1, 1], rounded and scaled back."""
    flat, blocks = x.ravel(), []
    for i in range(0, x.size, size):
        block = flat[i : i + size]
        scale = np.float64(np.float32(abs(block).max()))
        blocks.append(rounded(block / scale) * scale)
    return np.concatenate(blocks).reshape(x.shape)


def nearest(numbers: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: numbers[abs(x[:, None] - numbers).argmin(1)]


_SIGNED = nearest(dynamic_numbers(signed=True))
_UNSIGNED = nearest(dynamic_numbers(signed=False))
_LINEAR = nearest(np.arange(-127, 128) / 127)


def _float8(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    largest = float(ml_dtypes.finfo(dtype).max)
    return lambda x: (x * largest).astype(dtype).astype(np.float32).astype(float) / largest


# ---------------------------------------------------------------- methods

Store = Callable[[np.ndarray], np.ndarray]


def _adam(store_m: Store, store_v: Store, decay: float) -> Callable[..., Any]:
    def trajectory(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
        m, v = np.zeros_like(w), np.zeros_like(w)
        after = []
        for t, g in enumerate(gradients, 1):
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3)
            w = w - 0.01 * (step + decay * w)
            m, v = store_m(m), store_v(v)
            after.append(w)
        return after

    return leafwise(trajectory)


def _blocks(decay: float) -> Callable[..., Any]:
    return _adam(lambda m: in_blocks(m, 8, _SIGNED), lambda v: in_blocks(v, 8, _UNSIGNED), decay)


def _momentum(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    m, after = np.zeros_like(w), []
    for g in gradients:
        m = 0.9 * m + g
        w = w - 0.01 * m
        m = in_blocks(m, 8, _SIGNED)
        after.append(w)
    return after


def _muon(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    m, after = np.zeros((len(w), w.size // len(w))), []
    for g in gradients:
        if w.ndim == 1:
            w = w - 0.01 * g
        else:
            m = 0.95 * m + g.reshape(m.shape)
            u = 0.2 * np.sqrt(max(m.shape)) * _newton_schulz(m)
            w = (1 - 0.1 * 0.01) * w - 0.01 * u.reshape(w.shape)
            m = in_blocks(m, 8, _LINEAR)
        after.append(w)
    return after


def _newton_schulz(x: np.ndarray) -> np.ndarray:
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
    return x


_STORED = {"block_size": 8, "min_size": 0}

READINGS: dict[str, Reading] = {
    "adam_8bit": Reading(
        lambda: baselines.adam_8bit(0.01, b2=0.99, eps=1e-3, **_STORED), _blocks(0.0)
    ),
    "adamw_8bit": Reading(
        lambda: baselines.adamw_8bit(0.01, b2=0.99, eps=1e-3, weight_decay=0.1, **_STORED),
        _blocks(0.1),
    ),
    "momentum_8bit": Reading(lambda: baselines.momentum_8bit(0.01, **_STORED), leafwise(_momentum)),
    "adam_fp8": Reading(
        lambda: baselines.adam_fp8(0.01, b2=0.99, eps=1e-3, weight_decay=0.1),
        _adam(
            lambda m: in_blocks(m, m.size, _float8(ml_dtypes.float8_e4m3fn)),
            lambda v: in_blocks(v, v.size, _float8(ml_dtypes.float8_e5m2)),
            0.1,
        ),
    ),
    "muon_8bit": Reading(
        lambda: baselines.muon_8bit(
            0.01,
            block_size=8,
            weight_decay=0.1,
            fallback=optax.sgd(0.01),
            matrix_axes=torch_axes,
        ),
        leafwise(_muon),
    ),
}
