"""Checks of what constrains the norms or the singular values of weights."""

import jax
import numpy as np
import optax
from baseline_checks.trajectories import Case, Reading, leafwise

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes

REFERENCES: dict[str, Case] = {}


def projected(project):
    """SGD at 0.1, matrices projected after each step: project(W, memory) -> W, memory."""

    def trajectory(w, gradients):
        memory, steps = None, []
        for g in gradients:
            w = w - 0.1 * g
            if w.ndim >= 2:
                matrix, memory = project(w.reshape(len(w), -1), memory)
                w = matrix.reshape(w.shape)
            steps.append(w)
        return steps

    return leafwise(trajectory)


def normalized(w, u, bound, power_steps):
    """Singular values within the bound, by power iterations from the vector that is kept."""
    if u is None:
        with jax.enable_x64(True):
            u = np.asarray(jax.random.normal(jax.random.key(0), (len(w),), float))
        u = u / np.linalg.norm(u)
    for _ in range(power_steps):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
    return w / max(1, u @ w @ v / bound), u


def softly_capped(w, u):
    """The soft cap, its strength by the roots of the quartic in the authors' code."""
    w_max, max_update = 0.9, 0.25
    scale = np.sqrt(w.shape[0] / w.shape[1])
    k = w_max + max_update
    roots = np.roots([-(k**9), 3 * k**7, -3 * k**5, 0, k - w_max])
    alpha = min(r.real for r in roots if abs(r.imag) < 1e-6 and r.real >= 0)
    w, u = normalized(w / scale, u, k, 16)
    left, s, right = np.linalg.svd(w, full_matrices=False)
    s = s - alpha * s**3
    s = s + alpha * s**3
    return scale * left @ np.diag(s) @ right, u


def adam(x, g, state, rate):
    """One step of Adam: the new x and state."""
    m, v, t = (0 * x, 0 * x, 0) if state is None else state
    m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2, t + 1
    step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x - rate * step, (m, v, t)


def softplus(x):
    return np.log1p(np.exp(x))


@leafwise
def md_decoupling(w, gradients):
    shape = w.shape
    if w.ndim >= 2:
        w = w.reshape(shape[0], -1)
        r, c = (np.full(size, np.log(np.e - 1)) for size in w.shape)
    radius, of_w, of_r, of_c, steps = np.linalg.norm(w), None, None, None, []
    for g in gradients:
        if w.ndim < 2:
            w, of_w = adam(w, g, of_w, 0.02)
        else:
            g = g.reshape(w.shape)
            rows, columns = softplus(r), softplus(c)
            direction = np.diag(1 / rows) @ w @ np.diag(1 / columns)
            for_r = (direction * g) @ columns / (1 + np.exp(-r))
            for_c = rows @ (direction * g) / (1 + np.exp(-c))
            pulled = np.diag(rows) @ g @ np.diag(columns)
            direction, of_w = adam(direction, pulled, of_w, 0.02)
            direction = radius * direction / np.linalg.norm(direction)
            r, of_r = adam(r, for_r, of_r, 0.05)
            c, of_c = adam(c, for_c, of_c, 0.05)
            w = np.diag(softplus(r)) @ direction @ np.diag(softplus(c))
        steps.append(w.reshape(shape))
    return steps


READINGS: dict[str, Reading] = {
    "momentum_spectral_norm": Reading(
        lambda: baselines.momentum_spectral_norm(
            optax.sgd(0.1), 1.2, power_steps=2, matrix_axes=torch_axes
        ),
        projected(lambda w, u: normalized(w, u, 1.2, 2)),
    ),
    "lipschitz_weight_constraint": Reading(
        lambda: baselines.lipschitz_weight_constraint(
            optax.sgd(0.1), 0.9, max_update=0.25, matrix_axes=torch_axes
        ),
        projected(softly_capped),
    ),
    "md_decoupling": Reading(
        lambda: baselines.md_decoupling(optax.adam(0.02), 0.05, matrix_axes=torch_axes),
        md_decoupling,
    ),
}
