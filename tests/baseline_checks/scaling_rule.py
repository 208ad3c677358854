"""Checks of rules that scale learning rates."""

import math

import jax
import numpy as np
import optax
from baseline_checks.trajectories import STEPS, Case, Reading, leafwise
from baseline_checks.wrapper import Adam

from metaopt import baselines


def _lars(eps):
    return baselines.lars(0.1, weight_decay=1e-4, trust_coefficient=0.01, eps=eps)


REFERENCES: dict[str, Case] = {
    # Vectors are left to plain SGD there; the paper has no exceptions.
    "lars__po": Case(lambda: _lars(0.0), parts=("w", "c")),
    "lars__timm": Case(lambda: _lars(1e-8)),
    "lars__torch_optimizer": Case(lambda: _lars(1e-8)),
}

# Every role, and the shapes of a network that is half as wide, whose head is a quarter.
SHAPES = {
    "Dense_0": ((6, 4), (6, 2)),
    "Dense_1": ((4, 4), (2, 2)),
    "bias": ((4,), (2,)),
    "embedding": ((5, 4), (5, 2)),
    "head": ((4, 3), (1, 3)),
    "query": ((4, 2, 2), (2, 2, 2)),
    "scale": ((4,), (2,)),
    "value": ((4, 3), (2, 3)),
}
NARROW = {k: jax.ShapeDtypeStruct(narrow, np.float64) for k, (_, narrow) in SHAPES.items()}
HIDDEN = ("Dense_0", "Dense_1", "query", "value")


def _draw(seed, *stacked):
    draw = np.random.default_rng(seed)
    return {k: draw.normal(size=(*stacked, *shape)) for k, (shape, _) in SHAPES.items()}


@leafwise
def lamb(w, gradients):
    adam, path = Adam(eps=1e-6), []
    for g in gradients:
        u = adam.direction(g) + 0.1 * w
        w = w - 0.05 * np.linalg.norm(w) / np.linalg.norm(u) * u
        path.append(w)
    return path


def scaled(build, factors, decay=lambda name: 0.0, block=None):
    """A reading of Adam with a factor for each parameter's rate, 1 for those not named."""

    def trajectory(start, gradients):
        w, path = dict(start), []
        adams = {k: Adam() if block is None else AdamMini(block[k]) for k in start}
        for g in gradients:
            for k in w:
                u = adams[k].direction(g[k]) + decay(k) * w[k]
                w[k] = w[k] - 0.05 * factors.get(k, 1) * u
            path.append(dict(w))
        return path

    return Reading(build, trajectory, start=_draw(0), gradients=_draw(1, STEPS))


class AdamMini(Adam):
    """Adam with the mean of squares over some axes in place of squares."""

    def __init__(self, axes):
        super().__init__()
        self.axes = axes

    def direction(self, g):
        self.t += 1
        square = np.mean(g**2, axis=self.axes, keepdims=True)
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * square
        m_hat, v_hat = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return m_hat / (np.sqrt(v_hat) + self.eps)


RATIOS = {"Dense_0": 1, "Dense_1": 2, "embedding": 2, "head": 4, "query": 2, "value": 2}
BLOCKWISE = {"Dense_0": 6, "Dense_1": 6, "embedding": 10, "head": 10, "query": 8, "value": 4}
MINI = {
    "Dense_0": 0,
    "Dense_1": 0,
    "bias": (),
    "embedding": 1,
    "head": 0,
    "query": (0, 2),
    "scale": 0,
    "value": 0,
}

READINGS: dict[str, Reading] = {
    "blockwise_lr": scaled(lambda: baselines.blockwise_lr(optax.adam(0.05)), BLOCKWISE),
    "blockwise_lr_adam_mini": scaled(
        lambda: baselines.blockwise_lr_adam_mini(0.05, weight_decay=0.1),
        BLOCKWISE,
        decay=lambda k: 0.0 if k in ("bias", "scale") else 0.1,
        block=MINI,
    ),
    "depth_mup": scaled(
        lambda: baselines.depth_mup(optax.adam(0.05), depth_ratio=4), dict.fromkeys(HIDDEN, 0.5)
    ),
    "lamb": Reading(lambda: baselines.lamb(0.05, weight_decay=0.1), lamb),
    "mup_adam": scaled(
        lambda: baselines.mup_adam(optax.adam(0.05), base_params=NARROW),
        {k: 1 / r for k, r in RATIOS.items() if k != "embedding"},
    ),
    "per_layer_sp_lr": scaled(
        lambda: baselines.per_layer_sp_lr(
            optax.adam(0.05), parametrization="mup", base_params=NARROW
        ),
        {k: 1 / r if k in HIDDEN else 1 / math.sqrt(r) for k, r in RATIOS.items()},
    ),
    "wd_width_rule": scaled(
        lambda: baselines.wd_width_rule(0.05, weight_decay=0.1, base_params=NARROW),
        {k: 1 / RATIOS[k] for k in HIDDEN},
        decay=lambda k: 0.1 * math.sqrt(RATIOS[k]) if k in HIDDEN else 0.0,
    ),
}
