"""The per-parameter perceptron against a reading of its equations."""

from functools import partial

import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import pytest

from metaopt.baselines.memory import state_bytes
from metaopt.learned import count, mlp
from metaopt.learned.per_parameter_mlp import per_parameter_mlp

STEPS = 6
SHAPES = {"kernel": (2, 3, 2), "scalar": (), "vector": (5,)}
PARAMS = readings.arrays(0, SHAPES)
GRADIENTS = readings.arrays(1, SHAPES, STEPS)


def _reading(theta):
    def step(memory, name, p, g, t):
        averages = memory.setdefault("m", [np.zeros(p.shape)] * 6)
        decays = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
        averages[:] = [d * m + (1 - d) * g for d, m in zip(decays, averages, strict=True)]
        x = readings.with_time(readings.normalized([g, p, *averages], p.shape), t)
        outputs = readings.perceptron(theta["mlp"], x)
        return -0.001 * outputs[..., 0] * np.exp(0.001 * outputs[..., 1])

    return step


# Narrow and wide layers are computed in different ways.
@pytest.mark.parametrize(
    ("hidden", "layers", "joined"), [(3, 1, False), (12, 2, False), (3, 1, True)]
)
def test_it_follows_its_equations(monkeypatch, hidden, layers, joined):
    monkeypatch.setattr(mlp, "_SMALL", 10**6 if joined else 0)
    learned = per_parameter_mlp(hidden, layers)
    theta = readings.random_weights(learned, 2)
    bind = partial(learned.bind, compact=False)
    found, _ = readings.trained(bind, theta, PARAMS, GRADIENTS)
    readings.same(found, readings.read(_reading(theta), PARAMS, GRADIENTS), unit=0.001)


def test_compact_it_is_nearly_the_same():
    learned = per_parameter_mlp(3, 1)
    theta = readings.random_weights(learned, 2)
    found, state = readings.trained(learned.bind, theta, PARAMS, GRADIENTS)
    expected = readings.read(_reading(theta), PARAMS, GRADIENTS)
    readings.same(found, expected, unit=0.001, tolerance=0.03)
    held = [str(leaf.dtype) for leaf in state.averages[0]]
    assert held == ["bfloat16"] * 4 + ["float32"] * 2


def test_bytes_of_its_state():
    learned, params = per_parameter_mlp(), {"w": jnp.zeros((64, 32))}
    found = [state_bytes(learned.bind(None, compact=c), params) for c in (True, False)]
    assert found == [16 * 64 * 32 + 4, 24 * 64 * 32 + 4]


@pytest.mark.parametrize(("hidden", "layers", "expected"), [(32, 2, 1762), (4, 1, 90)])
def test_the_number_of_weights(hidden, layers, expected):
    found = count(readings.shapes_of_weights(per_parameter_mlp(hidden, layers)))
    others = (layers - 1) * hidden * (hidden + 1)
    assert found == expected == hidden * (19 + 1) + others + 2 * (hidden + 1)


def test_it_asks_for_parameters():
    learned = per_parameter_mlp()
    optimizer = learned.bind(readings.random_weights(learned, 2))
    with pytest.raises(ValueError, match="per_parameter_mlp/1 sees the parameters"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))
