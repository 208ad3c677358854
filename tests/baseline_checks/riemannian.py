"""Checks of the methods on manifolds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from baseline_checks.trajectories import STEPS, Case, Reading

from metaopt import baselines
from metaopt.baselines.shared.manifolds import euclidean, poincare_ball, sphere

RATE = 0.05


def _only_w(on: Any) -> Callable[[Any], Any]:
    """The parameter w on one manifold, the others Euclidean."""
    return lambda params: {k: on if k == "w" else euclidean() for k in params}


# geoopt's `Sphere` retracts and projects; its optimizers put w there at the first step.
_SPHERE = _only_w(sphere(exact=False))

REFERENCES: dict[str, Case] = {
    "riemannian_sgd__geoopt": Case(lambda: baselines.riemannian_sgd(RATE, manifold=_SPHERE)),
    "riemannian_adam__geoopt": Case(lambda: baselines.riemannian_adam(RATE, manifold=_SPHERE)),
    "riemannian_amsgrad__geoopt": Case(
        lambda: baselines.riemannian_amsgrad(RATE, manifold=_SPHERE)
    ),
}


def _adagrad_on_the_ball(start: Any, gradients: Any) -> list[dict[str, np.ndarray]]:
    """w's rows in the Poincare ball of curvature -1/2; the others Euclidean."""
    c, eps = 0.5, 1e-10
    w = {k: v.copy() for k, v in start.items()}
    v = {k: np.zeros((4, 1)) if k == "w" else np.zeros_like(a) for k, a in w.items()}
    trajectory = []
    for g in gradients:
        for k in "bc":
            v[k] += g[k] ** 2
            w[k] = w[k] - RATE * g[k] / (np.sqrt(v[k]) + eps)
        conformal = 2 / (1 - c * (w["w"] ** 2).sum(-1, keepdims=True))
        gradient = g["w"] / conformal**2
        v["w"] += conformal**2 * (gradient**2).sum(-1, keepdims=True)
        step = -RATE * gradient / (np.sqrt(v["w"]) + eps)
        w["w"] = np.stack([_geodesic(x, u, c) for x, u in zip(w["w"], step, strict=True)])
        trajectory.append(dict(w))
    return trajectory


def _geodesic(x: np.ndarray, u: np.ndarray, c: float) -> np.ndarray:
    """Where u leads from x: along a diameter, after a Moebius translation of the ball."""
    conformal = 2 / (1 - c * x @ x)
    length = np.linalg.norm(u)
    y = np.tanh(np.sqrt(c) * conformal * length / 2) * u / (np.sqrt(c) * length)
    along = (1 + 2 * c * x @ y + c * y @ y) * x + (1 - c * x @ x) * y
    return along / (1 + 2 * c * x @ y + c**2 * (x @ x) * (y @ y))


_INSIDE = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 3))


def _scaled_adamw(start: Any, gradients: Any) -> list[dict[str, np.ndarray]]:
    """AdamW on gradients of which those of the factors A B of a matrix are preconditioned."""
    b1, b2, eps, ridge, decay = 0.9, 0.99, 1e-6, 0.1, 0.02
    w = dict(start)
    m, v = ({k: np.zeros_like(a) for k, a in w.items()} for _ in range(2))
    trajectory = []
    for t, gradient in enumerate(gradients, 1):
        a, b, g = w["lora_a"], w["lora_b"], dict(gradient)
        g["lora_a"] = g["lora_a"] @ np.linalg.inv(b @ b.T + ridge * np.eye(2))
        g["lora_b"] = np.linalg.inv(a.T @ a + ridge * np.eye(2)) @ g["lora_b"]
        for k in w:
            m[k] = b1 * m[k] + (1 - b1) * g[k]
            v[k] = b2 * v[k] + (1 - b2) * g[k] ** 2
            ratio = m[k] / (1 - b1**t) / (np.sqrt(v[k] / (1 - b2**t)) + eps)
            w[k] = w[k] - RATE * (ratio + decay * w[k])
        trajectory.append(dict(w))
    return trajectory


_DRAW = np.random.default_rng(1)
_ADAPTER = {"lora_a": (5, 2), "lora_b": (2, 4), "scale": (3,)}

READINGS: dict[str, Reading] = {
    "moe_lora_riemannian": Reading(
        lambda: baselines.moe_lora_riemannian(RATE, b2=0.99, weight_decay=0.02, ridge=0.1),
        _scaled_adamw,
        start={k: _DRAW.normal(size=shape) for k, shape in _ADAPTER.items()},
        gradients={k: _DRAW.normal(size=(STEPS, *shape)) for k, shape in _ADAPTER.items()},
    ),
    "riemannian_adagrad": Reading(
        lambda: baselines.riemannian_adagrad(RATE, manifold=_only_w(poincare_ball(0.5))),
        _adagrad_on_the_ball,
        start={
            "w": _INSIDE,
            "b": np.linspace(-1, 1, 5),
            "c": np.linspace(-1, 1, 12).reshape(2, 3, 2),
        },
    ),
}
