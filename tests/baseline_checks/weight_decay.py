"""Checks of weight decay."""

import numpy as np
import optax
from baseline_checks.trajectories import STEPS, Case, Reading, leafwise
from baseline_checks.wrapper import HEAVYBALL, Adam

from metaopt import baselines

REFERENCES: dict[str, Case] = {
    "adam_l2__torch": Case(lambda: baselines.adam_l2(0.01, weight_decay=0.1)),
    "adamw__heavyball": Case(lambda: baselines.adamw(0.01, eps=0.0, weight_decay=0.1), **HEAVYBALL),
    **{
        f"adamw__{library}": Case(lambda: baselines.adamw(0.01, weight_decay=0.1))
        for library in ("optimi", "timm", "torch")
    },
    "cautious_weight_decay__heavyball": Case(
        lambda: baselines.cautious_weight_decay(
            0.01, weight_decay=0.1, direction=optax.scale_by_adam(eps=0.0)
        ),
        **HEAVYBALL,
    ),
    **{
        f"sgdw__{library}": Case(lambda: baselines.sgdw(0.05, weight_decay=0.01))
        for library in ("po", "timm")
    },
    "sgdw__torch_optimizer": Case(
        lambda: baselines.sgdw(0.05, weight_decay=0.01),
        departs="It subtracts the constant lr weight_decay; the paper, lr weight_decay w.",
        at=1,
    ),
}


@leafwise
def adamhd(w, gradients):
    adam, delta, path, sides = Adam(), np.mean(np.abs(w)), [], set()
    for g in gradients:
        delta = 0.8 * delta + 0.2 * np.mean(np.abs(w))
        ahead, tau = w + adam(g), 0.05 * 0.4
        small = np.abs(ahead) <= (1 + tau) * delta
        w = np.where(small, ahead / (1 + tau), ahead - tau * delta * np.sign(ahead))
        sides |= set(small.ravel())
        path.append(w)
    assert sides == {True, False}
    return path


def scale_vectors(start, gradients):
    w, adams, path = dict(start), {k: Adam() for k in start}, []
    for g in gradients:
        for k in w:
            decay = 0.4 if k in ("kernel", "scale") else 0
            w[k] = w[k] - 0.05 * (adams[k].direction(g[k]) + decay * w[k])
        path.append(dict(w))
    return path


def _draw(shapes, seed):
    draw = np.random.default_rng(seed)
    return {k: draw.normal(size=shape) for k, shape in shapes.items()}


NORMS = {"bias": (2,), "kernel": (4, 3), "norm_out": (3,), "scale": (5,)}

READINGS: dict[str, Reading] = {
    "adamhd": Reading(lambda: baselines.adamhd(0.05, weight_decay=0.4, delta_decay=0.8), adamhd),
    "scale_vector_weight_decay": Reading(
        lambda: baselines.scale_vector_weight_decay(
            0.05,
            weight_decay=0.4,
            output_norms=lambda params: {k: k == "norm_out" for k in params},
        ),
        scale_vectors,
        start=_draw(NORMS, 0),
        gradients=_draw({k: (STEPS, *shape) for k, shape in NORMS.items()}, 1),
    ),
}
