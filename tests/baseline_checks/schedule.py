"""Checks of the schedules.

Schedules are called in float64, as everything else that is compared here.
"""

import math

import jax
import numpy as np
import optax
from baseline_checks.trajectories import STEPS, Case, Reading, leafwise

from metaopt import baselines


def _in_float64(schedule):
    def evaluate(count):
        with jax.enable_x64(True):
            return np.float64(schedule(jax.numpy.int64(count)))

    return evaluate


# ---------------------------------------------------------------- references

# The file holds rates and no losses. These are the simplest with which PyTorch's rule does what it
# holds, patience being its 2 + 1: a tenth lower at each step, save the three before a reduction.
_REDUCTIONS = (5, 10, 16, 21, 24)
_STAYS = {step - back for step in _REDUCTIONS for back in range(3)}
_LOSSES = np.cumprod([1.0 if t in _STAYS else 0.9 for t in range(STEPS)])


def _plateaus():
    """step -> rate, by minimizing with rate 1: a gradient of -1 moves the parameter by it."""
    optimizer = baselines.reduce_on_plateau(optax.sgd(1.0), 0.5, 3, accumulation_size=1)
    state, rates = optimizer.init(np.float32(0)), []
    for loss in _LOSSES:
        update, state = optimizer.update(jax.numpy.float32(-1), state, value=loss)
        rates.append(update)
    return rates.__getitem__


_COSINE = Case(lambda: _in_float64(baselines.cosine_decay(1.0, num_steps=STEPS)))

REFERENCES: dict[str, Case] = {
    "cosine_decay__optax": _COSINE,
    "cosine_decay__torch": _COSINE,
    "step_decay__torch": Case(lambda: _in_float64(baselines.step_decay(1.0, num_steps=STEPS))),
    "reduce_on_plateau__torch": Case(
        _plateaus, inconclusive="the file holds no losses; those of the case are made to fit it"
    ),
}


# ---------------------------------------------------------------- readings


def _wsd(steps, lr=0.3, total=20, rise=5, fall=8):
    def rate(t):
        if t < rise:
            return 0.01 + (1 - 0.01) * t / rise
        if t < total - fall:
            return 1.0
        return 1 - math.sqrt((t - total + fall) / fall) if t < total else 0.0

    return [lr * rate(t) for t in range(steps)]


def _d2z(steps, lr=0.3, total=20, rise=4):
    ramps = ((t / rise, (total - t) / (total - rise)) for t in range(steps))
    return [lr * max(0.0, min(ramp)) for ramp in ramps]


def _rex(steps, lr=0.3, total=20):
    left = [max(0, total - t) / total for t in range(steps)]
    return [lr * part / (1 / 2 + 1 / 2 * part) for part in left]


def _exponential(steps, lr=0.3, total=20, decay=0.05):
    factor = decay ** (1 / total)
    return [lr * factor**t for t in range(steps)]


def _onecycle(steps, lr=0.3, total=20):
    corners, rates = (0, 9, 18, 20), (lr / 10, lr, lr / 10, lr / 1000)
    return np.interp(np.arange(steps), corners, rates)


def _warmup(steps, lr=0.3, rise=6, start=0.25):
    return [lr * (start + (1 - start) * min(1, t / rise)) for t in range(steps)]


def _eden(steps, lr=0.3, epoch=4, batches=7.0, epochs=2.0, rise=5):
    rates = []
    for t in range(steps):
        e, warm = t // epoch, 1.0 if t >= rise else 0.5 + 0.5 * (t / rise)
        by_batch = ((t**2 + batches**2) / batches**2) ** -0.25
        by_epoch = ((e**2 + epochs**2) / epochs**2) ** -0.25
        rates.append(lr * by_batch * by_epoch * warm)
    return rates


def _adamwr(w, gradients, lr=0.02, b1=0.9, b2=0.999, eps=1e-8, norm=0.3):
    m, v, after = 0.0 * w, 0.0 * w, []
    periods = [(3, t) for t in range(3)] + [(6, t) for t in range(6)] + [(12, t) for t in range(12)]
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        length, over = periods[t - 1] if t <= len(periods) else (12, 12)
        eta = 0.5 + 0.5 * math.cos(math.pi * over / length)
        adam = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        w = w - eta * (lr * adam + norm * math.sqrt(1 / length) * w)
        after.append(w)
    return after


_NOISY_LOSSES = np.random.default_rng(0).uniform(1, 2, STEPS) * np.geomspace(1, 0.3, STEPS)


def _plateau(start, gradients, extra, factor=0.5, patience=2, rtol=0.02, cooldown=1):
    best, bad, resting, scale, w, after = np.inf, 0, 0, 1.0, dict(start), []
    for g, loss in zip(gradients, (float(e["value"]) for e in extra), strict=True):
        better = loss < best * (1 - rtol)
        best, bad = (loss, 0) if better else (best, bad + 1)
        if resting:
            resting, bad = resting - 1, 0
        if bad == patience:
            scale, bad, resting = scale * factor, 0, cooldown
        w = {k: w[k] - 0.1 * scale * g[k] for k in w}
        after.append(w)
    return after


READINGS: dict[str, Reading] = {
    "reduce_on_plateau": Reading(
        lambda: baselines.reduce_on_plateau(
            optax.sgd(0.1), 0.5, 2, rtol=0.02, cooldown=1, accumulation_size=1
        ),
        _plateau,
        extra={"value": _NOISY_LOSSES},
    ),
    "wsd": Reading(
        lambda: _in_float64(baselines.wsd(0.3, num_steps=20, warmup=0.25, cooldown=0.4)), _wsd
    ),
    "d2z": Reading(lambda: _in_float64(baselines.d2z(0.3, num_steps=20, warmup=0.2)), _d2z),
    "rex": Reading(lambda: _in_float64(baselines.rex(0.3, num_steps=20)), _rex),
    "exponential_decay": Reading(
        lambda: _in_float64(baselines.exponential_decay(0.3, num_steps=20, decay_rate=0.05)),
        _exponential,
    ),
    "onecycle": Reading(lambda: _in_float64(baselines.onecycle(0.3, num_steps=20)), _onecycle),
    "linear_warmup": Reading(
        lambda: _in_float64(baselines.linear_warmup(0.3, warmup_steps=6, start=0.25)), _warmup
    ),
    "eden_schedule": Reading(
        lambda: _in_float64(
            baselines.eden_schedule(
                0.3, steps_per_epoch=4, lr_batches=7.0, lr_epochs=2.0, warmup_steps=5
            )
        ),
        _eden,
    ),
    "adamwr": Reading(
        lambda: baselines.adamwr(0.02, num_steps=21, weight_decay=0.3), leafwise(_adamwr)
    ),
}
