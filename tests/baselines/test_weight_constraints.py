"""Weights stay where constraints keep them, and steps are as large as they should be."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.weight_decay.lipschitz_weight_constraint import (
    SOFT_CAP_REACH,
    soft_cap_strength,
)

SHAPE = (6, 4)


def _weights(seed=0, scale=1.0):
    return {"w": scale * jnp.asarray(np.random.default_rng(seed).normal(size=SHAPE), jnp.float32)}


def _run(optimizer, params, steps=12):
    """The weights after each of some steps along random gradients."""

    @jax.jit
    def step(gradient, state, params):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state, after = optimizer.init(params), []
    for seed in range(steps):
        params, state = step(_weights(seed + 1), state, params)
        after.append(np.asarray(params["w"]))
    return after, state


def _singular_values(w):
    return np.linalg.svd(w, compute_uv=False)


def _capped(method, **hyperparameters):
    return baselines.lipschitz_weight_constraint(
        optax.sgd(0.05), 0.5, method=method, matrix_axes=torch_axes, **hyperparameters
    )


# In units of the bound of RMS-to-RMS norms: sqrt(rows / columns) times 0.5.
UNIT = 0.5 * (SHAPE[0] / SHAPE[1]) ** 0.5


@pytest.mark.parametrize(
    ("method", "slack"),
    [("svd", 1e-5), ("normalize", 1e-3), ("soft_cap", 1e-3), ("hard_cap", 0.02)],
)
def test_singular_values_stay_below_the_bound(method, slack):
    after, _ = _run(_capped(method, max_update=1.0, power_steps=40), _weights())
    assert all(_singular_values(w)[0] <= UNIT * (1 + slack) for w in after)


def test_the_hammer_sets_the_largest_singular_value_alone():
    params, free = _weights(), optax.sgd(0.05)
    found = _run(_capped("hammer", power_steps=60), params, 1)[0][0]
    before = _run(free, params, 1)[0][0]
    values = _singular_values(before)
    expected = np.sort([UNIT, *values[1:]])[::-1]
    np.testing.assert_allclose(_singular_values(found), expected, rtol=1e-4)


def test_spectral_decay_shrinks_the_largest_singular_value_alone():
    params, free = _weights(), optax.sgd(0.05)
    found = _run(_capped("spectral_decay", decay=0.2, power_steps=60), params, 1)[0][0]
    values = _singular_values(_run(free, params, 1)[0][0])
    expected = np.sort([0.8 * values[0], *values[1:]])[::-1]
    np.testing.assert_allclose(_singular_values(found), expected, rtol=1e-4)


@pytest.mark.parametrize("reach", [1.0, 1.01, 1.1, SOFT_CAP_REACH])
def test_a_soft_cap_is_just_strong_enough(reach):
    with jax.enable_x64(True):
        alpha = float(soft_cap_strength(jnp.asarray(reach, float)))
    s = np.linspace(0, reach, 200)
    s = s - alpha * s**3
    s = s + alpha * s**3
    np.testing.assert_allclose(s[-1], 1, rtol=1e-9)
    assert s.max() <= 1 + 1e-9
    assert (alpha > 1e-9) == (reach > 1)


def test_spectral_normalization_converges_to_the_bound():
    # No gradient: the kept vector alone makes the bound exact.
    optimizer = baselines.momentum_spectral_norm(optax.sgd(0.0), 0.7, matrix_axes=torch_axes)
    after, _ = _run(optimizer, _weights(), 60)
    np.testing.assert_allclose(_singular_values(after[-1])[0], 0.7, rtol=1e-4)
    small = _weights(scale=0.01)
    after, _ = _run(optimizer, small, 3)
    np.testing.assert_allclose(after[-1], small["w"], rtol=1e-6)


def test_hyperp_keeps_the_norm_and_turns_by_the_rate():
    params = _weights()
    after, _ = _run(baselines.hyperp(0.1, matrix_axes=torch_axes), params)
    radius = np.linalg.norm(params["w"])
    np.testing.assert_allclose([np.linalg.norm(w) for w in after], radius, rtol=1e-5)
    cosine = np.sum(params["w"] * after[0]) / radius**2
    assert 0.05 < np.arccos(cosine) <= np.arcsin(0.1) + 1e-3


def test_md_decoupling_keeps_directions_on_their_sphere():
    params = _weights()
    optimizer = baselines.md_decoupling(optax.adam(0.1), 0.05, matrix_axes=torch_axes)
    after, state = _run(optimizer, params)
    (raw,) = state.raw
    gain = jax.nn.softplus(raw.rows) * jax.nn.softplus(raw.columns)
    assert not np.allclose(gain, 1, atol=0.01)
    norm = np.linalg.norm(after[-1] / gain)
    np.testing.assert_allclose(norm, np.linalg.norm(params["w"]), rtol=1e-5)


def test_md_decoupling_starts_from_zeros():
    params = {"w": jnp.zeros(SHAPE)}
    optimizer = baselines.md_decoupling(optax.adam(0.1), 0.0, matrix_axes=torch_axes)
    after, _ = _run(optimizer, params, 2)
    np.testing.assert_allclose(np.linalg.norm(after[-1]), SHAPE[0] ** 0.5, rtol=1e-5)


def test_scion_stays_in_its_balls():
    params = {
        "hidden": {"kernel": jnp.zeros(SHAPE)},
        "conv": {"kernel": jnp.zeros((3, 3, 4, 6))},
        "embed": {"embedding": jnp.zeros((5, 4))},
        "head": {"kernel": jnp.zeros(SHAPE)},
    }
    optimizer = baselines.scion(0.5, radius=2.0, end_radius=3.0)
    state = optimizer.init(params)
    for seed in range(12):
        draw = np.random.default_rng(seed)
        gradients = jax.tree.map(lambda w, d=draw: jnp.asarray(d.normal(size=w.shape)), params)
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    outputs, inputs = SHAPE[1], SHAPE[0]
    hidden, conv, embed, head = (
        np.asarray(jax.tree.leaves(params[k])[0]) for k in ("hidden", "conv", "embed", "head")
    )
    # Muon's iterations overshoot by a fifth.
    assert _singular_values(hidden)[0] <= 1.21 * 2 * (outputs / inputs) ** 0.5
    assert _singular_values(conv.reshape(-1, 6))[0] <= 1.21 * 2 * (6 / 4) ** 0.5 / 9
    assert np.sqrt(np.mean(embed**2, axis=1)).max() <= 3 + 1e-5
    assert np.abs(head).max() <= 3 / inputs + 1e-6


@pytest.mark.parametrize("make", [baselines.adamuon, baselines.normuon, baselines.reg])
def test_steps_have_the_root_mean_square_of_adamw(make):
    params = _weights()
    after, _ = _run(make(0.1, matrix_axes=torch_axes), params, 1)
    rms = np.sqrt(np.mean((after[0] - params["w"]) ** 2))
    np.testing.assert_allclose(rms, 0.1 * 0.2, rtol=1e-3)


@pytest.mark.parametrize(
    "norms", [("row",), ("column",), ("frobenius",), ("sign",), ("spectral",), ("standard_row",)]
)
def test_normalized_matrices_have_one_size(norms):
    params = _weights()
    after, _ = _run(baselines.multinorm(0.1, norms, matrix_axes=torch_axes), params, 1)
    rms = np.sqrt(np.mean((after[0] - params["w"]) ** 2))
    np.testing.assert_allclose(rms, 0.1, rtol=1e-3)


def test_to_norm():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(to_norm(x, 2.0, 1), [[1.2, 1.6], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(to_norm(x, 10.0), 2 * x, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: baselines.muon(0.1, adjust="adam"), "original, match_rms_adamw, none"),
        (lambda: baselines.normuon(0.1, adjust="none"), "match_rms_adamw, original"),
        (lambda: baselines.root(0.1, quantile=1.5), "within 0 and 1"),
        (lambda: baselines.multinorm(0.1, ()), "one or more"),
        (lambda: baselines.multinorm(0.1, ("rows",)), "one or more"),
        (lambda: baselines.sinkgd(0.1, 0), "at least one pass"),
        (lambda: baselines.hyperp(0.1, data_ratio=0.0), "positive"),
        (lambda: _capped("cap"), "soft_cap"),
        (lambda: _capped("svd", power_steps=0), "at least one iteration"),
    ],
)
def test_impossible_hyperparameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
