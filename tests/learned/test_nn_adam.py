"""NN-Adam against a reading of its equations, and what it is before it is trained."""

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import pytest

from metaopt.learned import count
from metaopt.learned.nn_adam import nn_adam

HIDDEN, STEPS = 4, 6
PARAMS = readings.arrays(0, readings.SHAPES)
GRADIENTS = readings.arrays(1, readings.SHAPES, STEPS)
GRADIENTS["vector"][2, 0] = 5000.0  # clipped
LEARNED = nn_adam(HIDDEN)


@pytest.fixture(scope="module")
def theta():
    """Random weights, hyperparameters near what is usual, and steps of them that can be seen."""
    weights = readings.random_weights(LEARNED, 2)
    weights["controls"] = jax.tree.map(lambda leaf: 10 * leaf, weights["controls"])
    usual = np.log([0.01, 0.2, 0.05, 0.1]) / 10
    return {**weights, "logs": jnp.asarray(usual, jnp.float32)}


def _size(x):
    return 0.5 * np.clip(np.log(1e-8 + np.abs(x)), -5, 5)


def _reading(theta, lowest, highest):
    def step(memory, name, p, g, t):
        if not memory:
            h, c = (np.asarray(theta["start"][state], np.float64) for state in "hc")
            s = np.asarray(theta["logs"], np.float64)
            memory.update(m=np.zeros(p.shape), v=np.zeros(p.shape), h=h, c=c, s=s)
        s = memory["s"]
        rate, b1, b2, eps = np.exp(10 * s) * [1, -1, -1, 1] + [0, 1, 1, 0]
        g = np.clip(g, -1000, 1000)
        m = memory["m"] = b1 * memory["m"] + (1 - b1) * g
        v = memory["v"] = b2 * memory["v"] + (1 - b2) * g**2
        scaled = np.clip(s, -5, 5) / 5
        named = {
            "beta1": scaled[1],
            "beta2": scaled[2],
            "epsilon": scaled[3],
            "is_bias": 1.0 if len(p.shape) == 1 else -1.0,
            "is_scalar": 1.0 if len(p.shape) == 0 else -1.0,
            "lr": scaled[0],
            "mean_gabs": _size(np.abs(g).mean()),
        }
        # `mean_m`, `mean_p` and `mean_v` come after `mean_gabs`, as in the alphabet.
        for letter, x in {"g": g, "m": m, "p": p, "v": v}.items():
            named |= {
                f"mean_{letter}_1": _size(x.mean()),
                f"mean_{letter}_2": np.sign(x.mean()),
                f"var_{letter}": _size(x.var()),
            }
        names = sorted(named, key=lambda key: key.replace("gabs", "g_3"))
        x = np.array([named[key] for key in names])
        assert x.shape == (19,)
        memory["h"], memory["c"] = readings.lstm(theta["lstm"], x, memory["h"], memory["c"])
        controls = memory["h"] @ np.asarray(theta["controls"]["w"], np.float64)
        memory["s"] = np.clip(s + 0.01 * (controls + theta["controls"]["b"]), lowest, highest)
        return -rate * (1 + eps) * m / (eps + np.sqrt(v + 1e-10))

    return step


LOWEST = [np.log(1e-8) / 10, -1, -1, np.log(1e-11) / 10]
HIGHEST = [np.log(1e3) / 10, 0, 0, np.log(1e4) / 10]


def test_it_follows_its_equations(theta):
    found, state = readings.trained(LEARNED.bind, theta, PARAMS, GRADIENTS)
    expected = readings.read(_reading(theta, LOWEST, HIGHEST), PARAMS, GRADIENTS)
    readings.same(found, expected, unit=0.01, tolerance=3e-5)
    assert np.abs(np.asarray(state.logs) - theta["logs"][None]).max() > 0.05
    # Every tensor is steered on its own.
    assert len(np.unique(np.asarray(state.logs).round(4), axis=0)) == len(PARAMS)


def test_untrained_it_is_adam_without_correction():
    def adam(memory, name, p, g, t):
        g = np.clip(g, -1000, 1000)
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        return -1e-4 * memory["m"] / (np.sqrt(memory["v"] + 1e-10) + 1e-8)

    theta = LEARNED.init(jax.random.key(0))
    found, _ = readings.trained(LEARNED.bind, theta, PARAMS, GRADIENTS)
    readings.same(found, readings.read(adam, PARAMS, GRADIENTS), unit=1e-4)


@pytest.mark.parametrize(("sign", "ends"), [(-1, LOWEST), (1, HIGHEST)])
def test_hyperparameters_stay_in_their_ranges(theta, sign, ends):
    theta = {**theta, "controls": {"w": jnp.zeros((HIDDEN, 4)), "b": jnp.full(4, 1e4 * sign)}}
    found, state = readings.trained(LEARNED.bind, theta, PARAMS, GRADIENTS)
    np.testing.assert_allclose(state.logs, np.tile(np.float32(ends), (3, 1)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("hidden", [1, 32])
def test_the_number_of_weights(hidden):
    found = count(readings.shapes_of_weights(nn_adam(hidden)))
    gates, start, controls = 4 * hidden * (19 + hidden + 1), 2 * hidden, 4 * hidden + 4
    assert found == gates + start + controls + 4


def test_no_tensors_none_steered(theta):
    optimizer = LEARNED.bind(theta)
    updates, state = optimizer.update({}, optimizer.init({}), {})
    assert updates == {}
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(0, 4), (0, HIDDEN), (0, HIDDEN)]


def test_a_tensor_without_elements_does_no_harm(theta):
    shapes = {"empty": (0, 3), "vector": (2,)}
    params, gradients = readings.arrays(0, shapes), readings.arrays(1, shapes, 2)
    updates, state = readings.trained(LEARNED.bind, theta, params, gradients)
    assert updates["empty"].shape == (2, 0, 3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((updates, state)))


def test_it_asks_for_parameters(theta):
    optimizer = LEARNED.bind(theta)
    with pytest.raises(ValueError, match="nn_adam/1 sees the parameters"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))
