"""The recurrent unit against its equations."""

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np

from metaopt.learned import count, lstm


def test_steps_follow_the_equations():
    draw = np.random.default_rng(0)
    rows, inputs, hidden = 3, 5, 4
    weights = {
        "w": jnp.asarray(draw.normal(size=(inputs + hidden, 4 * hidden)), jnp.float32),
        "b": jnp.asarray(draw.normal(size=4 * hidden), jnp.float32),
    }
    xs = draw.normal(size=(6, rows, inputs)).astype(np.float32)
    h, c = draw.normal(size=(2, rows, hidden)).astype(np.float32)
    state, steps = (jnp.asarray(h), jnp.asarray(c)), []
    for x in xs:
        state = lstm.apply(weights, jnp.asarray(x), state)
        steps.append(state)
    for row in range(rows):
        expected = h[row].astype(np.float64), c[row].astype(np.float64)
        for x, (found_h, found_c) in zip(xs, steps, strict=True):
            expected = readings.lstm(weights, x[row], *expected)
            np.testing.assert_allclose(found_h[row], expected[0], atol=1e-5)
            np.testing.assert_allclose(found_c[row], expected[1], atol=1e-5)


def test_fresh_weights():
    weights = lstm.init(jax.random.key(0), 100, 50)
    assert {name: leaf.shape for name, leaf in weights.items()} == {"w": (150, 200), "b": (200,)}
    assert count(weights) == 4 * 50 * (100 + 50 + 1)
    assert {leaf.dtype for leaf in weights.values()} == {jnp.dtype(jnp.float32)}
    w = np.asarray(weights["w"]) * np.sqrt(150)
    assert np.abs(w).max() <= 2
    # A standard normal number that is between -2 and 2 has the deviation 0.8796.
    np.testing.assert_allclose(w.std(), 0.8796, rtol=0.02)
    np.testing.assert_allclose(w.mean(), 0, atol=0.02)
    np.testing.assert_array_equal(weights["b"], 0)


def test_an_open_forget_gate_by_default():
    """Without weights, half of what is new is let in, and sigmoid(1) of what is old is kept."""
    weights = {"w": jnp.zeros((3, 8)), "b": jnp.zeros(8)}
    h, c = lstm.apply(weights, jnp.ones((1, 1)), (jnp.zeros((1, 2)), jnp.ones((1, 2))))
    np.testing.assert_allclose(c, np.full((1, 2), 1 / (1 + np.exp(-1))), rtol=1e-6)
    np.testing.assert_allclose(h, 0.5 * np.tanh(c), rtol=1e-6)
