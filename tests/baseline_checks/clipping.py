"""Checks of the bounds on gradients."""

from collections.abc import Sequence

import numpy as np
import optax
from baseline_checks.trajectories import Arrays, Case, Reading, leafwise

from metaopt import baselines


def _adagc() -> optax.GradientTransformation:
    return baselines.adagc(optax.adamw(0.01, weight_decay=0.1), warmup_steps=5)


def _spam() -> optax.GradientTransformation:
    return baselines.spam(0.01, threshold=5.0, reset_every=10, warmup_steps=3, clip_after=1)


REFERENCES: dict[str, Case] = {
    # Their global norm is found in float32.
    "adagc__po": Case(_adagc, rtol=1e-8, atol=1e-8),
    "adagc__zij": Case(_adagc, rtol=1e-8, atol=1e-8),
    # PyTorch adds 1e-6 to the norm.
    "clip_by_global_norm__torch": Case(
        lambda: baselines.clip_by_global_norm(optax.sgd(0.1)), rtol=1e-7, atol=2e-7
    ),
    **{
        f"spam__{library}": Case(
            _spam,
            departs="warms up one step ahead of the authors' code, which starts at the reset",
            at=10,
        )
        for library in ("po", "zij")
    },
}


def _coordinate_clip(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """A fifth of the 29 coordinates is clipped, the six largest."""
    w, path = dict(start), []
    for g in gradients:
        sizes = np.sort(np.concatenate([np.abs(a).ravel() for a in g.values()]))
        # The quantile 0.8 lies 0.4 of the way from the 23rd to the 24th of 29.
        limit = 0.6 * sizes[22] + 0.4 * sizes[23]
        w = {k: w[k] - 0.1 * np.sign(g[k]) * np.minimum(np.abs(g[k]), limit) for k in w}
        path.append(w)
    return path


@leafwise
def _spam_read(w: np.ndarray, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The authors' loop, with a reset every 9 steps, and clipping from 2 steps after it."""
    m, v, since_reset, path = np.zeros_like(w), np.zeros_like(w), 4, []
    for t, g in enumerate(gradients, 1):
        if t % 9 == 0:
            m, v, since_reset = np.zeros_like(w), np.zeros_like(w), 0
        if t % 9 >= 2:
            spikes = g**2 > 1.5 * v
            g = np.where(spikes, np.sign(g) * np.sqrt(1.5 * v), g)
        m = 0.8 * m + 0.2 * g
        v = 0.9 * v + 0.1 * g**2
        u = np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 1e-3)
        death = 0.99 * (1 + np.cos(np.pi * since_reset / 4)) / 2 if since_reset < 3 else 0
        w = w - 0.05 * (1 - death) * u
        w = w - 0.05 * 0.1 * w
        since_reset += 1
        path.append(w)
    return path


READINGS: dict[str, Reading] = {
    "coordinate_clip": Reading(
        lambda: baselines.coordinate_clip(optax.sgd(0.1), 0.2), _coordinate_clip
    ),
    "spam": Reading(
        lambda: baselines.spam(
            0.05,
            0.8,
            0.9,
            1e-3,
            threshold=1.5,
            reset_every=9,
            warmup_steps=3,
            clip_after=2,
            weight_decay=0.1,
        ),
        _spam_read,
    ),
}
