"""Perturbed matrices that are never made come to what made ones come to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_checks.trajectories import quick_jit

from metaopt.learned import network
from metaopt.learned.tensors import Shifted, linear
from search.meta import perturb
from search.meta.config import EstimatorConfig
from search.meta.estimators import Lengths, estimator
from search.meta.inner import Inner

INPUTS, OUTPUTS, PARTICLES = 3, 5, 40
THETA = {
    "layer": {"w": jnp.linspace(-1.0, 1.0, 15).reshape(INPUTS, OUTPUTS), "b": jnp.ones(OUTPUTS)},
    "other": jnp.arange(2.0),
}
X = jnp.asarray(np.random.default_rng(0).normal(size=(4, INPUTS)), jnp.float32)
TARGET = jnp.asarray(np.random.default_rng(1).normal(size=(4, OUTPUTS)), jnp.float32)
KEY = jax.random.key(0)
LINEAR = frozenset({"layer"})
LENGTHS = Lengths(jnp.float32(4), jnp.float32(12))


@pytest.fixture(autouse=True)
def _every_matrix_is_large(monkeypatch):
    monkeypatch.setattr(perturb, "_LARGE", 1)


def _problem(names=LINEAR):
    """A loss that is linear in theta but for what has piled up in the state."""

    def begin(theta, key, length):
        del key, length
        return theta["other"][0]

    def step(theta, state, key):
        y = linear(theta["layer"], X) + theta["other"][1] + 0.1 * state
        return state + jnp.mean(y) + 0.1 * jax.random.normal(key), jnp.mean(y * TARGET)

    return Inner(begin, step, lambda theta, state, key: step(theta, state, key)[1], 1e6, names)


def _dense(noise):
    w = noise["layer"]["w"]
    made = jnp.einsum("pir,por->pio", *w) if isinstance(w, perturb.Factors) else w
    layer = {"w": made.astype(jnp.float32), "b": noise["layer"]["b"]}
    return {"layer": layer, "other": noise["other"]}


def _drawn(rank, particles=PARTICLES, key=KEY):
    found = perturb.apart(THETA, LINEAR)
    assert found == {"layer": {"w": True, "b": False}, "other": False}
    return perturb.draw(key, THETA, LINEAR, 0.1, particles, rank)


@pytest.mark.parametrize(
    ("method", "rank"),
    [("full_es", 2), ("truncated_es", 0), ("es_single", 0), ("pes", 0), ("pes", 2)],
)
def test_the_estimate_is_that_of_made_matrices(monkeypatch, method, rank):
    def estimates(problem):
        found = estimator(EstimatorConfig(method, 0.1, truncation=4, rank=rank), problem, 6)

        @quick_jit
        def run(carry, key):
            return found.estimate(THETA, carry, key, LENGTHS)

        carry, all_of_them = found.start(THETA, KEY), []
        for k in range(3):
            result = run(carry, jax.random.fold_in(KEY, k))
            carry, _ = result.carry, all_of_them.append((result.gradient, result.metrics))
        return all_of_them

    ours = estimates(_problem())
    draw = perturb.draw
    monkeypatch.setattr(
        perturb, "draw", lambda key, theta, _, *more: _dense(draw(key, theta, LINEAR, *more))
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
        ours,
        estimates(_problem(frozenset())),
    )


def test_full_noise_of_a_large_matrix_is_nearly_normal():
    noise = _drawn(0, 40_000)["layer"]["w"]
    assert (noise.shape, noise.dtype) == ((40_000, INPUTS, OUTPUTS), jnp.bfloat16)
    eps = np.asarray(noise, np.float64).reshape(40_000, -1) / 0.1
    np.testing.assert_allclose(eps.mean(axis=0), 0, atol=5 / 200)
    # The square of an element has variance 1.75, and a product of two has 1.
    np.testing.assert_allclose(eps.T @ eps / 40_000, np.eye(15), atol=5 * np.sqrt(1.75) / 200)
    assert np.mean(eps**4) == pytest.approx(2.75, abs=0.1)
    assert np.abs(eps).max() == pytest.approx(4 / np.sqrt(2), rel=0.01)
    below = np.mean(eps < -1)
    assert below == pytest.approx(37 / 256, abs=0.01)  # normal: 0.159


def test_products_with_half_precision_noise_are_as_precise_as_others():
    noise = _drawn(0)["layer"]["w"][0]
    layer = {"w": Shifted(THETA["layer"]["w"], jnp.float32(-1.0), noise), "b": jnp.zeros(OUTPUTS)}
    x = jnp.asarray(np.random.default_rng(2).normal(size=(7, INPUTS)), jnp.float32)
    expected = np.float64(x) @ (np.float64(THETA["layer"]["w"]) - np.float64(noise))
    np.testing.assert_allclose(quick_jit(linear)(layer, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_noise_has_the_moments_of_full_noise(rank):
    noise = _drawn(rank, 20_000)
    assert noise["layer"]["w"].a.shape == (20_000, INPUTS, rank)
    eps = np.asarray(_dense(noise)["layer"]["w"], np.float64).reshape(20_000, -1) / 0.1
    np.testing.assert_allclose(eps.mean(axis=0), 0, atol=0.035)
    # The square of an element varies by 2 + 6 / rank, and a product of two by at most 1 + 4 / rank.
    bound = 5 * np.sqrt((2 + 6 / rank) / 20_000)
    np.testing.assert_allclose(eps.T @ eps / 20_000, np.eye(15), atol=bound)


@pytest.mark.parametrize("rank", [0, 1])
def test_an_estimate_is_unbiased(rank):
    config = EstimatorConfig("full_es", 0.1, truncation=1, rank=rank)
    found = estimator(config, _problem(), PARTICLES)
    one = Lengths(jnp.float32(1), jnp.float32(1))
    keys = jax.random.split(KEY, 300)
    run = quick_jit(jax.vmap(lambda key: found.estimate(THETA, None, key, one).gradient))
    gradients = np.asarray(run(keys)["layer"]["w"], np.float64)
    expected = np.asarray(X.T @ TARGET / TARGET.size)
    error = gradients.std(axis=0, ddof=1) / np.sqrt(len(keys))
    scores = (gradients.mean(axis=0) - expected) / error
    assert np.abs(scores).max() < 3.5
    assert np.linalg.norm(error) < 0.3 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "sizes"), [("velo", {"units": 2}), ("celo", {"units": 2}), ("nn_adam", {})]
)
def test_networks_name_their_layers_right(name, sizes):
    """Every large layer is one that takes a perturbation apart from it."""
    made = network(name, hidden=4, **sizes)
    theta = made.init(KEY)
    separate = perturb.apart(theta, made.linear)
    assert {k for k, part in separate.items() if any(jax.tree.leaves(part))} == made.linear
    pairs = perturb.pairs(theta, perturb.draw(KEY, theta, made.linear, 0.1, 2, 1), made.linear)
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}

    def step(theta):
        optimizer = made.bind(theta, num_steps=10)
        return optimizer.update(params, optimizer.init(params), params, value=1.0)[0]

    jax.tree.map(
        lambda u, p: np.testing.assert_equal(u.shape, (2, 2, *p.shape)),
        jax.eval_shape(perturb.over(step, pairs)),
        params,
    )


def test_a_rank_below_zero_is_refused():
    with pytest.raises(ValueError, match="rank must be at least 0, got -1"):
        EstimatorConfig(rank=-1)
