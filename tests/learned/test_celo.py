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
SHAPES = {
    "heads": (4, 2, 3),
    "kernel": (2, 1, 4, 3),
    "matrix": (4, 3),
    "scalar": (),
    "vector": (5,),
}
MATRICES = {"heads": (4, 6), "kernel": (8, 3), "matrix": (4, 3)}
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


def _square(x):
    return (x**2).mean()


def _unevenness(x):
    return _square(x) / (x.mean() ** 2 + 1e-30)


def _statistics(name, memory, p, g, before, t):
    """Of gradients in their own units, but for the second, which says what these are."""
    fast, middle, slow = map(_square, memory["m"])
    ratios = [
        _square(p),
        memory["size"],
        *(x / (_square(g) + 1e-16) for x in (fast, middle, slow)),
        _square(g),
        p.mean() ** 2 / (_square(p) + 1e-16),
        fast / (1 - 0.9 ** (t + 1)) ** 2,
        middle / (1 - 0.99 ** (t + 1)) ** 2,
        _unevenness(memory["v"]),
        _unevenness(memory["row"][-1]),
        _unevenness(memory["col"][-1]) if p.ndim > 1 else 1.0,
        p.size,
        *sorted(MATRICES.get(name, (1, 1))),
    ]
    cosines = [(g * x).mean() / np.sqrt(_square(g) * _square(x) + 1e-16) for x in (*before, p)]
    return np.concatenate([0.1 * np.log(1e-12 + np.array(ratios)), cosines])


def _in_its_units(memory, g, t):
    """A gradient and its averages, over the root of the mean of v."""
    size = memory["v"].mean() / (1 - 0.999 ** (t + 1))
    unit = 1 / np.sqrt(size + 1e-30)
    scaled = {name: [unit**2 * np.asarray(x) for x in memory[name]] for name in ("row", "col")}
    m = [unit * x for x in memory["m"]]
    return {**scaled, "m": m, "v": unit**2 * memory["v"], "size": size, "unit": unit}, unit * g


def _orthogonal(x, shape):
    """Five steps of Muon's polynomial on the singular values, at root mean square 1."""
    u, s, vt = np.linalg.svd(x.reshape(shape), full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return (np.sqrt(max(shape)) * (u * s) @ vt).reshape(x.shape)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _recurrent(theta, x, pooled, h):
    y = np.maximum(0, readings.linear(theta["own"], x) + pooled)
    gates = _sigmoid(readings.linear(theta["gates"], np.concatenate([y, h])))
    update, reset = gates[:HIDDEN], gates[HIDDEN:]
    new = np.tanh(readings.linear(theta["candidate"], np.concatenate([y, reset * h])))
    return update * h + (1 - update) * new


def _steered(theta, name, by, h):
    return np.float64(theta[name]) + h @ np.float64(theta[by])


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
        seen, ours = {}, {}
        for name, w in p.items():
            before = memory[name].get("m", [np.zeros(w.shape)] * 3)[:2]
            readings.averaged(memory[name], g[name])
            seen[name], ours[name] = _in_its_units(memory[name], g[name], t)
            before = [seen[name]["unit"] * m for m in before]
            own = _statistics(name, seen[name], w, ours[name], before, t)
            x[name] = np.concatenate([*common, readings.of_rank(w.shape), own])
        pooled = np.mean(
            [np.maximum(0, readings.linear(theta["pooled"], row)) for row in x.values()], axis=0
        )
        for name, w in p.items():
            h[name] = _recurrent(theta, x[name], pooled, h[name])
            bent, between = 3 * readings.linear(theta["heads"], np.concatenate([h[name], x[name]]))
            rate = 0.03 * np.exp(10 * offset + bent) * max(0, 1 - t / HORIZON)
            features = readings.velo_features(seen[name], w, ours[name])
            entries = readings.normalized(features, w.shape)
            u = entries @ _steered(theta, "linear", "steered", h[name])
            u = u + readings.perceptron(theta["mlp"], entries)[..., 0]
            u = u / np.sqrt((u**2).mean() + 1e-12)
            if shape := MATRICES.get(name):
                weights = _steered(theta, "momenta", "steered_momenta", h[name])
                mixed = sum(
                    a * m for a, m in zip(weights, (ours[name], *seen[name]["m"]), strict=True)
                )
                q = _sigmoid(between)
                u = (1 - q) * np.sqrt(16 / min(shape)) * u + q * _orthogonal(mixed, shape)
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


def test_untrained_it_is_half_adam_and_half_muon_with_relative_steps():
    def both(memory, name, p, g, t):
        g = np.clip(g, -1000, 1000)
        m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        signal = _square(m / (1 - 0.9 ** (t + 1))) / (v.mean() / (1 - 0.999 ** (t + 1)))
        u = m / np.sqrt(v + 1e-6 * v.mean() / (1 - 0.999 ** (t + 1)))
        u = u / np.sqrt(_square(u))
        if shape := MATRICES.get(name):
            o = _orthogonal(0.9 * m + 0.1 * g, shape)
            u = 0.5 * np.sqrt(16 / min(shape)) * u + 0.5 * o
        rate = 0.03 * signal**0.25 * (1 - t / HORIZON)
        return -rate * np.sqrt(_square(p) + 0.1**2) * u

    found, _ = _trained(LEARNED.init(jax.random.key(0)))
    # The normalization of a feature has 1e-5 beside its mean square, which the direction's undoes.
    readings.same(found, readings.read(both, PARAMS, GRADIENTS), unit=0.03, tolerance=3e-4)


def test_untrained_it_does_not_see_the_unit_of_gradients():
    theta = LEARNED.init(jax.random.key(0))
    run = quick_jit(partial(readings.trained_on_losses, partial(LEARNED.bind, compact=False)))
    one = {name: np.clip(g, -3, 3) for name, g in GRADIENTS.items()}
    found, _ = run(theta, PARAMS, one, LOSSES, HORIZON)
    other, _ = run(
        theta, PARAMS, {n: np.float32(1e-4) * g for n, g in one.items()}, LOSSES, HORIZON
    )
    for name in one:
        np.testing.assert_allclose(other[name], found[name], rtol=2e-3, atol=1e-5)


def test_after_the_end_it_stands_still(theta):
    optimizer = LEARNED.bind(theta, num_steps=3)
    state = optimizer.init(PARAMS)._replace(count=jnp.int32(7))
    gradient = {name: g[0] for name, g in GRADIENTS.items()}
    updates, _ = quick_jit(optimizer.update)(gradient, state, PARAMS, value=1.0)
    assert not any(np.any(u) for u in updates.values())


# ---------------------------------------------------------------- weights, and what it asks for


@pytest.mark.parametrize(
    ("hidden", "units", "layers", "expected"), [(32, 8, 2, 10_595), (5, 4, 1, None)]
)
def test_the_number_of_weights(hidden, units, layers, expected):
    found = count(readings.shapes_of_weights(celo(hidden, units, layers)))
    inputs = 9 + 9 + 1 + 5 + 15 + 3
    perceptron = units * 31 + (layers - 1) * units * (units + 1) + (units + 1)
    into = 2 * hidden * (inputs + 1)
    recurrent, heads = 3 * hidden * (2 * hidden + 1), 2 * (hidden + inputs + 1)
    assert found == (30 + 4) * (1 + hidden) + perceptron + into + recurrent + heads + 2
    assert expected in (None, found)


def test_what_it_asks_for(theta):
    with pytest.raises(TypeError, match=r"celo/3 sees what fraction .* pass num_steps="):
        LEARNED.bind(theta)
    optimizer = LEARNED.bind(theta, num_steps=10)
    state = optimizer.init(PARAMS)
    with pytest.raises(TypeError, match=r"celo/3 sees the training loss.* value=loss"):
        optimizer.update(PARAMS, state, PARAMS)
    with pytest.raises(ValueError, match="celo/3 sees the parameters"):
        optimizer.update(PARAMS, state, value=1.0)
