"""Celo against a reading of its equations, and what it is before it is trained."""

from functools import partial

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import pytest
from baseline_checks.trajectories import quick_jit

from metaopt.learned import celo, count, mlp

STEPS, HORIZON = 4, 5.0
SHAPES = {"kernel": (2, 1, 4, 3), "matrix": (4, 3), "scalar": (), "vector": (5,)}
PARAMS = readings.arrays(0, SHAPES)
GRADIENTS = readings.arrays(1, SHAPES, STEPS)
GRADIENTS["vector"][2, 0] = 5000.0  # clipped
LOSSES = np.array([2.0, 1.5, 1.7, 1.2], np.float32)
HIDDEN, UNITS = 5, 4
LEARNED = celo(HIDDEN, UNITS, layers=1)


@pytest.fixture(scope="module")
def theta():
    """Random weights, but for the two that are a tenth of a logarithm."""
    return {**readings.random_weights(LEARNED, 2), "scale": jnp.float32(0.1), "floor": -0.05}


def _trained(theta):
    bind = partial(LEARNED.bind, compact=False)
    run = quick_jit(partial(readings.trained_on_losses, bind))
    return run(theta, PARAMS, GRADIENTS, LOSSES, HORIZON)


# ---------------------------------------------------------------- its equations, in numpy


def _statistics(memory, p, g):
    def square(x):
        return (x**2).mean()

    fast, middle, slow = map(square, memory["m"])
    return 0.1 * np.log(
        1e-12
        + np.array(
            [
                square(p),
                square(g),
                p.size,
                *(x / (square(g) + 1e-16) for x in (fast, middle, slow)),
                square(g) / (memory["v"].mean() + 1e-16),
                p.mean() ** 2 / (square(p) + 1e-16),
            ]
        )
    )


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _recurrent(theta, x, pooled, h):
    y = np.maximum(0, readings.linear(theta["own"], x) + pooled)
    gates = _sigmoid(readings.linear(theta["gates"], np.concatenate([y, h])))
    update, reset = gates[:HIDDEN], gates[HIDDEN:]
    new = np.tanh(readings.linear(theta["candidate"], np.concatenate([y, reset * h])))
    return update * h + (1 - update) * new


def _reading(theta):
    """All updates, stacked."""
    p = {name: np.asarray(w, np.float64) for name, w in PARAMS.items()}
    memory, h = {name: {} for name in p}, {name: np.zeros(HIDDEN) for name in p}
    losses, found = readings.loss_features(LOSSES, HORIZON), {name: [] for name in p}
    offset, floor = (np.float64(theta[name]) for name in ("scale", "floor"))
    for t in range(STEPS):
        common, x = [losses[t], readings.of_training(t, HORIZON), [0.1 * np.log(HORIZON)]], {}
        g = {
            name: np.clip(np.float64(of_all[t]), -1000, 1000) for name, of_all in GRADIENTS.items()
        }
        for name, w in p.items():
            readings.averaged(memory[name], g[name])
            own = readings.of_rank(w.shape), _statistics(memory[name], w, g[name])
            x[name] = np.concatenate([*common, *own])
        pooled = np.mean(
            [np.maximum(0, readings.linear(theta["pooled"], row)) for row in x.values()], axis=0
        )
        for name, w in p.items():
            h[name] = _recurrent(theta, x[name], pooled, h[name])
            (bent,) = readings.linear(theta["rate"], h[name])
            rate = 0.01 * np.exp(10 * offset + bent) * max(0, 1 - t / HORIZON)
            features = readings.velo_features(memory[name], w, g[name])
            seen = readings.normalized(features, w.shape)
            straight = np.asarray(theta["linear"], np.float64) + h[name] @ np.float64(
                theta["steered"]
            )
            straight = seen @ straight
            u = straight + readings.perceptron(theta["mlp"], seen)[..., 0]
            u = u / np.sqrt((u**2).mean() + 1e-12)
            size = np.sqrt((w**2).mean() + (0.1 * np.exp(10 * floor)) ** 2)
            found[name].append(-rate * size * u)
        p = {name: w + found[name][-1] for name, w in p.items()}
    return {name: np.stack(steps) for name, steps in found.items()}


# ---------------------------------------------------------------- the code follows them


@pytest.mark.parametrize("joined", [False, True])
def test_it_follows_its_equations(monkeypatch, theta, joined):
    # Tensors are evaluated apart or together.
    monkeypatch.setattr(mlp, "_SMALL", 10**6 if joined else 0)
    found, state = _trained(theta)
    for name, updates in _reading(theta).items():
        unit = np.abs(updates).max()
        readings.same({name: found[name]}, {name: updates}, unit=unit, tolerance=2e-4)
    assert state.count == state.losses.count == STEPS
    # Every tensor is steered on its own.
    assert len(np.unique(np.asarray(state.h).round(4), axis=0)) == len(SHAPES)


def test_untrained_it_is_adam_with_relative_steps():
    def adam(memory, name, p, g, t):
        g = np.clip(g, -1000, 1000)
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        u = memory["m"] / np.sqrt(memory["v"] + 1e-6)
        u = u / np.sqrt((u**2).mean())
        return -0.01 * (1 - t / HORIZON) * np.sqrt((p**2).mean() + 0.1**2) * u

    found, _ = _trained(LEARNED.init(jax.random.key(0)))
    # The normalization of a feature has 1e-5 beside its mean square, which the direction's undoes.
    readings.same(found, readings.read(adam, PARAMS, GRADIENTS), unit=0.01, tolerance=1e-4)


def test_after_the_end_it_stands_still(theta):
    optimizer = LEARNED.bind(theta, num_steps=3)
    state = optimizer.init(PARAMS)._replace(count=jnp.int32(7))
    gradient = {name: g[0] for name, g in GRADIENTS.items()}
    updates, _ = quick_jit(optimizer.update)(gradient, state, PARAMS, value=1.0)
    assert not any(np.any(u) for u in updates.values())


# ---------------------------------------------------------------- weights, and what it asks for


@pytest.mark.parametrize(
    ("hidden", "units", "layers", "expected"), [(32, 8, 2, 9706), (5, 4, 1, None)]
)
def test_the_number_of_weights(hidden, units, layers, expected):
    found = count(readings.shapes_of_weights(celo(hidden, units, layers)))
    inputs = 9 + 9 + 1 + 5 + 8
    perceptron = units * 31 + (layers - 1) * units * (units + 1) + (units + 1)
    into = 2 * hidden * (inputs + 1)
    recurrent, rate = 3 * hidden * (2 * hidden + 1), hidden + 1
    assert found == 30 * (1 + hidden) + perceptron + into + recurrent + rate + 2
    assert expected in (None, found)


def test_what_it_asks_for(theta):
    with pytest.raises(TypeError, match=r"celo/2 sees what fraction .* pass num_steps="):
        LEARNED.bind(theta)
    optimizer = LEARNED.bind(theta, num_steps=10)
    state = optimizer.init(PARAMS)
    with pytest.raises(TypeError, match=r"celo/2 sees the training loss.* value=loss"):
        optimizer.update(PARAMS, state, PARAMS)
    with pytest.raises(ValueError, match="celo/2 sees the parameters"):
        optimizer.update(PARAMS, state, value=1.0)
