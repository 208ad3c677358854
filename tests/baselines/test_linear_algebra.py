"""The linear algebra that methods for matrices share, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaopt.baselines.shared import newton_schulz as ns
from metaopt.baselines.shared.inverse_root import coupled_newton, inverse_root
from metaopt.baselines.shared.orthogonalization import orthonormal_basis, polar_factor
from metaopt.baselines.shared.power_iteration import top_singular, top_subspace
from metaopt.baselines.shared.randomized import gaussian_sketch, randomized_range, randomized_svd

SHAPES = [(4, 4), (5, 3), (1, 6), (2, 4, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def _normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _polar(x):
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return u @ vt


def _semi_definite(size, seed=0):
    x = _normal((size, 2 * size), seed)
    return x @ x.T / size


def _root(matrix, p):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values ** (-1 / p)) @ vectors.T


# ---------------------------------------------------------------- Newton-Schulz


@shapes
@pytest.mark.parametrize(
    ("coefficients", "steps"), [(ns.CUBIC, 40), (ns.EXACT_QUINTIC, 25), (ns.POLAR_EXPRESS, 25)]
)
def test_exact_iterations_reach_the_polar_factor(shape, coefficients, steps):
    x = _normal(shape)
    found = ns.newton_schulz(jnp.array(x), coefficients=coefficients, steps=steps)
    np.testing.assert_allclose(found, _polar(x), atol=1e-9)


@shapes
@pytest.mark.parametrize("coefficients", [ns.QUINTIC, ns.DION], ids=["quintic", "dion"])
def test_steps_are_a_polynomial_of_the_singular_values(shape, coefficients):
    x = _normal(shape)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / np.linalg.norm(x, axis=(-2, -1))[..., None]
    for a, b, c in [coefficients] * 5 if coefficients is ns.QUINTIC else coefficients:
        s = a * s + b * s**3 + c * s**5
    found = ns.newton_schulz(jnp.array(x), coefficients=coefficients, eps=0.0)
    np.testing.assert_allclose(found, (u * s[..., None, :]) @ vt, atol=1e-9)


def test_the_last_coefficients_are_repeated():
    x = jnp.array(_normal((3, 4)))
    listed = (ns.QUINTIC, ns.CUBIC)
    np.testing.assert_array_equal(
        ns.newton_schulz(x, coefficients=listed, steps=3),
        ns.newton_schulz(x, coefficients=(*listed, ns.CUBIC), steps=3),
    )
    np.testing.assert_array_equal(
        ns.newton_schulz(x, coefficients=listed, steps=1),
        ns.newton_schulz(x, coefficients=ns.QUINTIC, steps=1),
    )


def test_narrow_types_are_computed_in_float32():
    x = jnp.array(_normal((4, 6)), jnp.bfloat16)
    found = ns.newton_schulz(x)
    assert found.dtype == jnp.bfloat16
    wide = ns.newton_schulz(x.astype(jnp.float32))
    np.testing.assert_array_equal(found, wide.astype(jnp.bfloat16))
    narrow = ns.newton_schulz(x, dtype=jnp.bfloat16)
    assert not np.array_equal(found, narrow)


# ---------------------------------------------------------------- exact factors


@shapes
def test_polar_factor(shape):
    x = _normal(shape)
    np.testing.assert_allclose(polar_factor(jnp.array(x)), _polar(x), atol=1e-12)


def test_polar_factor_leaves_out_what_vanishes():
    x = np.outer(_normal(4), _normal(3, 1))
    expected = x / np.linalg.norm(x)
    np.testing.assert_allclose(polar_factor(jnp.array(x)), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 4, 3)], ids=str)
def test_orthonormal_basis(shape):
    x = _normal(shape)
    q = np.asarray(orthonormal_basis(jnp.array(x)))
    r = np.swapaxes(q, -2, -1) @ x
    np.testing.assert_allclose(np.swapaxes(q, -2, -1) @ q, np.eye(shape[-1]) + 0 * r, atol=1e-12)
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-12)
    assert (np.diagonal(r, axis1=-2, axis2=-1) > 0).all()
    np.testing.assert_allclose(q @ r, x, atol=1e-12)


@pytest.mark.parametrize("function", [ns.newton_schulz, polar_factor, orthonormal_basis])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_zeros_and_types(function, dtype):
    found = function(jnp.zeros((4, 3), dtype))
    assert found.dtype == dtype
    if function is orthonormal_basis:
        np.testing.assert_array_equal(found.T @ found, np.eye(3))
    else:
        np.testing.assert_array_equal(found, 0)


# ---------------------------------------------------------------- random sketches


def test_a_sketch_is_gaussian():
    x = jnp.array(_normal((3, 400)))
    sketch = np.asarray(gaussian_sketch(jax.random.key(0), x, 4000))
    np.testing.assert_allclose(sketch @ sketch.T / 4000, x @ x.T, atol=50)
    np.testing.assert_allclose(sketch.mean(axis=1), 0, atol=2)


def test_the_range_of_a_low_rank_matrix_is_found():
    x = _normal((9, 3)) @ _normal((3, 7), 1)
    for iterations in (0, 2):
        q = np.asarray(randomized_range(jax.random.key(1), jnp.array(x), 3, iterations))
        np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(q @ q.T @ x, x, atol=1e-11)


def test_power_iterations_make_the_range_better():
    x = _normal((30, 20)) @ np.diag(0.9 ** np.arange(20))
    best = np.linalg.norm(np.linalg.svd(x)[1][5:])

    def error(iterations):
        q = np.asarray(randomized_range(jax.random.key(1), jnp.array(x), 5, iterations))
        return np.linalg.norm(x - q @ q.T @ x)

    assert error(0) > error(1) > error(4) >= best
    assert error(8) < 1.02 * best


@pytest.mark.parametrize("shape", [(9, 7), (7, 9), (4, 4)], ids=str)
def test_randomized_svd(shape):
    x = _normal(shape)
    u, s, vt = randomized_svd(
        jax.random.key(0), jnp.array(x), 3, oversampling=1, power_iterations=60
    )
    expected_u, expected_s, expected_vt = np.linalg.svd(x)
    np.testing.assert_allclose(s, expected_s[:3], rtol=1e-9)
    best = expected_u[:, :3] * expected_s[:3] @ expected_vt[:3]
    np.testing.assert_allclose((u * s[None]) @ vt, best, atol=1e-7)


# ---------------------------------------------------------------- power iteration


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 7), (1, 6), (2, 4, 3)], ids=str)
def test_top_singular(shape):
    x = _normal(shape)
    start = np.ones(shape[:-1]) / np.sqrt(shape[-2])
    sigma, u, v = map(np.asarray, top_singular(jnp.array(x), jnp.array(start), 200))
    np.testing.assert_allclose(sigma, np.linalg.norm(x, 2, axis=(-2, -1)), rtol=1e-9)
    np.testing.assert_allclose((x @ v[..., None])[..., 0], sigma[..., None] * u, atol=1e-7)


def test_a_warm_start_goes_on():
    x, u = jnp.array(_normal((5, 4))), jnp.ones(5) / np.sqrt(5)
    once = top_singular(x, u, 4)
    _, middle, _ = top_singular(x, u, 2)
    jax.tree.map(np.testing.assert_array_equal, top_singular(x, middle, 2), once)


def test_the_start_survives_a_zero_matrix():
    u = jnp.array([0.6, 0.8])
    sigma, same, v = top_singular(jnp.zeros((2, 3)), u, 3)
    assert sigma == 0
    np.testing.assert_array_equal(same, u)
    np.testing.assert_array_equal(v, 0)


def test_top_subspace():
    matrix = _semi_definite(6)
    basis = jnp.array(np.linalg.qr(_normal((6, 2)))[0])
    for _ in range(300):
        basis = top_subspace(jnp.array(matrix), basis)
    leading = np.linalg.eigh(matrix)[1][:, :-3:-1]
    np.testing.assert_allclose(np.abs(leading.T @ basis), np.eye(2), atol=1e-8)


# ---------------------------------------------------------------- inverse roots


@pytest.mark.parametrize("p", [1, 2, 4])
@pytest.mark.parametrize("function", [inverse_root, coupled_newton])
def test_inverse_roots(function, p):
    matrix = _semi_definite(5)
    found = function(jnp.array(matrix), p)
    np.testing.assert_allclose(found, _root(matrix, p), rtol=1e-5, atol=1e-6)
    found = function(jnp.array(matrix), p, 0.3)
    np.testing.assert_allclose(found, _root(matrix + 0.3 * np.eye(5), p), rtol=1e-5, atol=1e-6)


def test_inverse_root_of_zeros_is_zero():
    np.testing.assert_array_equal(inverse_root(jnp.zeros((3, 3)), 4), 0)
    np.testing.assert_allclose(inverse_root(jnp.zeros((3, 3)), 2, 0.25), 2 * np.eye(3))


@pytest.mark.parametrize("function", [inverse_root, coupled_newton])
def test_inverse_roots_of_narrow_types(function):
    matrix = _semi_definite(4)
    found = function(jnp.array(matrix, jnp.bfloat16), 2)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(float), _root(matrix, 2), rtol=0.1, atol=0.05)


def test_coupled_newton_stops_where_it_no_longer_helps():
    ill = np.diag([1.0, 1e-3, 1e-9]).astype(np.float32)
    found = coupled_newton(jnp.array(ill), 4, 1e-6)
    expected = _root(ill + 1e-6 * np.eye(3), 4)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)
