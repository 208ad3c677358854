"""Checks of the methods with matrix preconditioners, and of those around weight matrices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from baseline_checks.trajectories import Case, Reading

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes

RATE = 0.05
DECAY = 0.02

REFERENCES: dict[str, Case] = {
    "shampoo__po": Case(lambda: baselines.shampoo(RATE, eps=1e-6)),
    "shampoo__zij": Case(
        lambda: baselines.shampoo(RATE, eps=1e-6),
        departs="it takes the statistics of an axis from a gradient that the axes before have "
        "preconditioned already, and the power -1/k for an array of k axes; the paper takes all "
        "from the gradient, and the power -1/2k",
        at=1,
    ),
}
# Their QR steps are in float32.
for _library in ("po", "zij"):
    REFERENCES[f"soap__{_library}"] = Case(
        lambda: baselines.soap(0.01, weight_decay=0.0, period=3), rtol=1e-6, atol=1e-6
    )


def _sgd(start: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [start - RATE * sum(gradients[: t + 1]) for t in range(len(gradients))]


def _matrixwise(
    method: Callable[..., list[np.ndarray]], others: Callable[..., list[np.ndarray]] = _sgd
) -> Callable[..., Any]:
    """A trajectory from one of a matrix: w (4, 3), c (2, 3, 2) as (2, 6); b is of the others."""

    def trajectory(start: Any, gradients: Sequence[Any]) -> list[dict[str, np.ndarray]]:
        after = {}
        for k, w in start.items():
            if w.ndim > 1:
                flat = method(w.reshape(len(w), -1), [g[k].reshape(len(w), -1) for g in gradients])
                after[k] = [x.reshape(w.shape) for x in flat]
            else:
                after[k] = others(w, [g[k] for g in gradients])
        return [{k: v[t] for k, v in after.items()} for t in range(len(gradients))]

    return trajectory


def _power(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**power) @ vectors.T


def _scaled(x: np.ndarray) -> np.ndarray:
    """Of root mean square 1."""
    return x * np.sqrt(x.size) / np.linalg.norm(x)


# ---------------------------------------------------------------- distributed Shampoo


def _nesterov(w: np.ndarray, directions: Any) -> list[np.ndarray]:
    m, after = np.zeros_like(w), []
    for direction in directions:
        u = direction(w) + DECAY * w
        m = 0.9 * m + u
        w = w - RATE * (u + 0.9 * m)
        after.append(w)
    return after


def _grafted(gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    d, directions = np.zeros_like(gradients[0]), []
    for g in gradients:
        d = 0.8 * d + 0.2 * g**2
        directions.append(g / (np.sqrt(d) + 1e-10))
    return directions


def _grafted_alone(start: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    return _nesterov(start, [lambda w, d=d: d for d in _grafted(gradients)])


def _distributed_shampoo(start: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    ridge, size, first, period = 1e-3, 3, 4, 3
    m, n = start.shape
    blocks = [
        (slice(i, i + size), slice(j, j + size))
        for i in range(0, m, size)
        for j in range(0, n, size)
    ]
    shapes = [start[block].shape for block in blocks]
    left = [ridge * np.eye(rows) for rows, _ in shapes]
    right = [ridge * np.eye(columns) for _, columns in shapes]
    roots: Any = [None] * len(blocks)
    directions = []
    for t, (g, grafted) in enumerate(zip(gradients, _grafted(gradients), strict=True)):
        s = np.zeros_like(g)
        for k, block in enumerate(blocks):
            part = g[block]
            left[k] = 0.8 * left[k] + 0.2 * part @ part.T
            right[k] = 0.8 * right[k] + 0.2 * part.T @ part
            if t % period == 0:
                roots[k] = [
                    _power(h + ridge * np.linalg.norm(h, 2) * np.eye(len(h)), -1 / 4)
                    for h in (left[k], right[k])
                ]
            s[block] = roots[k][0] @ part @ roots[k][1]
        s *= np.linalg.norm(grafted) / np.linalg.norm(s)
        directions.append(s if t >= first else grafted)
    return _nesterov(start, [lambda w, d=d: d for d in directions])


# ---------------------------------------------------------------- rotations of the gradient


def _conda(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    b1, b2, eps, scale, period = 0.9, 0.95, 1e-8, 0.5, 4
    tall = w.shape[0] > w.shape[1]
    m = v = u = 0.0
    after = []
    for t, gradient in enumerate(gradients, 1):
        g = gradient.T if tall else gradient
        m = b1 * m + (1 - b1) * g
        if (t - 1) % period == 0:
            u = np.linalg.svd(m)[0]
        v = b2 * v + (1 - b2) * (u.T @ g) ** 2
        ratio = np.sqrt(1 - b2**t) / (1 - b1**t) * (u.T @ m) / (np.sqrt(v) + eps)
        step = scale * u @ ratio
        w = w - RATE * ((step.T if tall else step) + DECAY * w)
        after.append(w)
    return after


def _orthogonalized(x: np.ndarray) -> np.ndarray:
    """Five Newton-Schulz steps with the coefficients of Muon."""
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x - 4.775 * a @ x + 2.0315 * a @ a @ x
    return x


def _cosmos(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    b1, b2, eps, gamma, ratio, rank = 0.9, 0.95, 1e-8, 0.3, 0.5, 1
    m, v = np.zeros_like(w), np.zeros((len(w), rank))
    p = s = np.zeros(0)
    after = []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + g
        if t == 1:
            p = np.linalg.svd(g.T @ g)[0][:, :rank]
            s = (1 - b2) * p.T @ g.T @ g @ p
        else:
            new = np.linalg.qr(b2 * p @ s + (1 - b2) * g.T @ g @ p)[0]
            s = b2 * new.T @ p @ s @ p.T @ new + (1 - b2) * new.T @ g.T @ g @ new
            p = new
        v = b2 * v + (1 - b2) * (g @ p) ** 2
        ahead = (g + b1 * m) / (1 + b1 * sum(b1**i for i in range(t)))
        adam = ahead @ p / (np.sqrt(v / (1 - b2**t)) + eps) @ p.T
        rest = ahead - ahead @ p @ p.T
        step = _scaled(adam + gamma * _scaled(_orthogonalized(rest)))
        w = w - RATE * (ratio * step + DECAY * w)
        after.append(w)
    return after


def _sinkhorn(x: np.ndarray) -> np.ndarray:
    for _ in range(5):
        x = x / np.sqrt((x**2).mean(1, keepdims=True))
        x = x / np.sqrt((x**2).mean(0, keepdims=True))
    return x


def _aro(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    tall = w.shape[0] > w.shape[1]
    m, r = 0.0, np.eye(min(w.shape))
    after = []
    for gradient in gradients:
        m = 0.9 * m + 0.1 * (gradient.T if tall else gradient)
        r = np.linalg.qr(m @ _sinkhorn(r.T @ m).T)[0]
        step = r @ _sinkhorn(r.T @ m)
        w = w - RATE * ((step.T if tall else step) + DECAY * w)
        after.append(w)
    return after


# ---------------------------------------------------------------- POET


def _rotation(entries: np.ndarray, size: int, block: int) -> np.ndarray:
    """Block-diagonal, (size, size), of Cayley transforms by a Neumann series of three terms."""
    whole = np.zeros((len(entries) * block,) * 2, entries.dtype)
    for k, above in enumerate(entries):
        q = np.zeros((block, block), entries.dtype)
        q[np.triu_indices(block, 1)] = above
        q = q - q.T
        identity = np.eye(block)
        part = slice(k * block, (k + 1) * block)
        whole[part, part] = (identity + q) @ (identity + q + q @ q + q @ q @ q)
    return whole[:size, :size]


def _poet(start: Any, gradients: Sequence[Any]) -> list[dict[str, np.ndarray]]:
    after = {"b": _sgd(start["b"], [g["b"] for g in gradients])}
    # Matrices in the order of the tree's leaves.
    for index, k in enumerate(("c", "w")):
        flat = start[k].reshape(len(start[k]), -1)
        steps = _poet_of(flat, [g[k].reshape(flat.shape) for g in gradients], index)
        after[k] = [w.reshape(start[k].shape) for w in steps]
    return [{k: v[t] for k, v in after.items()} for t in range(len(gradients))]


def _poet_of(w: np.ndarray, gradients: Sequence[np.ndarray], index: int) -> list[np.ndarray]:
    b1, b2, eps, scale, block, period = 0.9, 0.999, 1e-6, 0.5, 2, 4
    (m, n), fixed, after = w.shape, w, []
    counts = (-(-m // block), -(-n // block))
    skews = moments = squares = np.zeros(sum(counts))

    def weight(skews: np.ndarray, orders: Any) -> np.ndarray:
        rows, columns = orders
        r = _rotation(skews[: counts[0], None], m, block)
        p = _rotation(skews[counts[0] :, None], n, block)
        w = np.zeros((m, n), skews.dtype)
        w[np.ix_(rows, columns)] = r @ fixed[np.ix_(rows, columns)] @ p
        return w

    for t, g in enumerate(gradients):
        orders = _orders(t // period, index, (m, n))
        # The derivative by each number is exact: an imaginary step has nothing to cancel.
        nudged = [weight(skews + 1e-30j * e, orders) for e in np.eye(len(skews))]
        gradient = np.array([np.sum(g * w.imag) / 1e-30 for w in nudged])
        age = t % period + 1
        moments = b1 * moments + (1 - b1) * gradient
        squares = b2 * squares + (1 - b2) * gradient**2
        rate = scale * RATE * np.sqrt(1 - b2**age) / (1 - b1**age)
        skews = skews - rate * moments / (np.sqrt(squares) + eps)
        after.append(weight(skews, orders))
        if age == period:
            fixed = after[-1]
            skews = moments = squares = np.zeros(sum(counts))
    return after


def _orders(merges: int, index: int, shape: tuple[int, int]) -> list[np.ndarray]:
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), merges), index)
        keys = jax.random.split(key)
        return [np.asarray(jax.random.permutation(k, n)) for k, n in zip(keys, shape, strict=True)]


# ---------------------------------------------------------------- SCALE, TRP, LAWN


def _scale(start: Any, gradients: Sequence[Any]) -> list[dict[str, np.ndarray]]:
    """w is hidden, c the last layer."""
    w = dict(start)
    m, after = np.zeros((2, 6)), []
    for g in gradients:
        m = 0.8 * m + 0.2 * g["c"].reshape(2, 6)
        u = {"w": g["w"], "c": m}
        for k in "wc":
            u[k] = (u[k] / np.sqrt((u[k] ** 2).mean(1, keepdims=True))).reshape(w[k].shape)
            w[k] = (1 - RATE * DECAY) * w[k] - RATE * u[k]
        w["b"] = w["b"] - RATE * g["b"]
        after.append(dict(w))
    return after


def _trp(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    energy, period, weight = 0.9, 3, 0.1
    after = []
    for t, g in enumerate(gradients):
        if t % period == 0:
            u, s, vt = np.linalg.svd(w, full_matrices=False)
            rank = np.sum(s > 1e-10)
            g = g + weight * u[:, :rank] @ vt[:rank]
        w = w - RATE * g
        if (t + 1) % period == 0:
            u, s, vt = np.linalg.svd(w, full_matrices=False)
            parts = np.cumsum(s**2) / np.sum(s**2)
            rank = int(np.argmax(parts >= energy)) + 1
            w = (u[:, :rank] * s[:rank]) @ vt[:rank]
        after.append(w)
    return after


def _lawn(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    free, warmup = 4, 3
    norm, after = 0.0, []
    for t, g in enumerate(gradients):
        u = -RATE * g
        if t < free:
            w = w + u
            norm = np.linalg.norm(w)
        else:
            u = u * min(1, (t - free + 1) / warmup)
            u = u - w * np.sum(w * u) / np.sum(w * w)
            w = norm * (w + u) / np.linalg.norm(w + u)
        after.append(w)
    return after


_COMMON: Any = {"fallback": optax.sgd(RATE), "matrix_axes": torch_axes}

READINGS: dict[str, Reading] = {
    "distributed_shampoo": Reading(
        lambda: baselines.distributed_shampoo(
            RATE,
            b2=0.8,
            weight_decay=DECAY,
            ridge=1e-3,
            block_size=3,
            start=4,
            period=3,
            matrix_axes=torch_axes,
        ),
        _matrixwise(_distributed_shampoo, _grafted_alone),
        # The coupled Newton iteration stops at this accuracy.
        rtol=1e-6,
        atol=1e-6,
    ),
    "conda": Reading(
        lambda: baselines.conda(RATE, b2=0.95, weight_decay=DECAY, scale=0.5, period=4, **_COMMON),
        _matrixwise(_conda),
    ),
    "cosmos": Reading(
        lambda: baselines.cosmos(
            RATE, b2=0.95, weight_decay=DECAY, rank=1, gamma=0.3, rate_ratio=0.5, **_COMMON
        ),
        _matrixwise(_cosmos),
    ),
    "aro": Reading(
        lambda: baselines.aro(RATE, 0.9, weight_decay=DECAY, **_COMMON), _matrixwise(_aro)
    ),
    "poet": Reading(lambda: baselines.poet(RATE, block_size=2, period=4, seed=7, **_COMMON), _poet),
    "scale": Reading(
        lambda: baselines.scale(
            RATE,
            0.8,
            weight_decay=DECAY,
            roles=lambda params: {"w": "hidden", "b": "vector", "c": "head"},
            **_COMMON,
        ),
        _scale,
    ),
    "trp": Reading(
        lambda: baselines.trp(
            optax.sgd(RATE), period=3, nuclear_weight=0.1, matrix_axes=torch_axes
        ),
        _matrixwise(_trp),
    ),
    "lawn": Reading(
        lambda: baselines.lawn(optax.sgd(RATE), num_free=4, num_warmup=3), _matrixwise(_lawn)
    ),
}
