"""Manifolds: points stay on them, tangent vectors stay tangent, lengths are kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaopt.baselines.shared.manifolds import Manifold, euclidean, poincare_ball, sphere, stiefel


def _off_sphere(x):
    return np.linalg.norm(x, axis=-1) - 1


def _off_stiefel(x):
    return np.asarray(x.mT @ x) - np.eye(x.shape[-1])


MANIFOLDS = {
    "sphere": (sphere(), _off_sphere, lambda x, u: np.sum(x * u, -1)),
    "sphere, retraction": (sphere(exact=False), _off_sphere, lambda x, u: np.sum(x * u, -1)),
    "stiefel": (stiefel(), _off_stiefel, lambda x, u: x.mT @ u + u.mT @ x),
}
"""Each with how far a point is off it, and a vector off the tangent space: zero on it."""

ALL = {name: on for name, (on, _, _) in MANIFOLDS.items()} | {
    "euclidean": euclidean(),
    "ball": poincare_ball(),
    "flatter ball": poincare_ball(0.3),
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def _draw(seed, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=(2, 5, 3)))


def _point(on: Manifold, seed=0):
    return on.project(_draw(seed, 0.2))


@pytest.mark.parametrize("name", MANIFOLDS)
def test_points_stay_on_it_and_vectors_tangent(name):
    on, off, out = MANIFOLDS[name]
    x = _point(on)
    np.testing.assert_allclose(off(x), 0, atol=1e-14)
    u, v = on.gradient(x, _draw(1)), on.gradient(x, _draw(2))
    np.testing.assert_allclose(out(x, u), 0, atol=1e-14)
    y = on.move(x, u)
    np.testing.assert_allclose(off(y), 0, atol=1e-14)
    np.testing.assert_allclose(out(y, on.transport(x, y, v)), 0, atol=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_a_point_is_its_own_projection_and_stands_still_without_a_step(name):
    on = ALL[name]
    x = _point(on)
    np.testing.assert_allclose(on.project(x), x, atol=1e-14)
    np.testing.assert_allclose(on.move(x, jnp.zeros_like(x)), x, atol=1e-14)
    np.testing.assert_allclose(
        on.transport(x, x, on.gradient(x, _draw(1))), on.gradient(x, _draw(1))
    )


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_derivative_along_steps(name):
    """d/dt f(move(x, t u)) = <grad f, u>_x: `move` follows u, `gradient` and `inner` agree."""
    on, target = ALL[name], _draw(3)
    x = _point(on)

    def f(x):
        return jnp.sum(jnp.sin(x) * target)

    gradient, u = on.gradient(x, jax.grad(f)(x)), on.gradient(x, _draw(1))
    along = (f(on.move(x, 1e-5 * u)) - f(on.move(x, -1e-5 * u))) / 2e-5
    np.testing.assert_allclose(along, jnp.sum(on.inner(x, gradient, u)), rtol=1e-7)


@pytest.mark.parametrize("name", ["sphere", "euclidean", "ball", "flatter ball"])
def test_parallel_transport_keeps_lengths_and_follows_geodesics(name):
    on = ALL[name]
    x = _point(on)
    u, v = 0.3 * on.gradient(x, _draw(1)), on.gradient(x, _draw(2))
    y = on.move(x, u)
    moved = on.transport(x, y, v)
    np.testing.assert_allclose(on.inner(y, moved, moved), on.inner(x, v, v), rtol=1e-12)
    # A geodesic is straight: going on along the transported velocity is going twice as far.
    further = on.move(y, on.transport(x, y, u))
    np.testing.assert_allclose(further, on.move(x, 2 * u), rtol=1e-12, atol=1e-12)


def test_a_ball_of_no_curvature_is_flat():
    on = poincare_ball(1e-12)
    x, u = _draw(0), _draw(1)
    np.testing.assert_allclose(on.move(x, u), x + u, rtol=1e-6)


def test_points_stay_inside_the_ball():
    on = poincare_ball(4.0)
    far = on.move(_point(on), 1e6 * _draw(1))
    assert np.linalg.norm(far, axis=-1).max() < 0.5
    assert np.isfinite(far).all()


def test_wrong_manifolds_are_named():
    with pytest.raises(ValueError, match="above 0"):
        poincare_ball(0.0)
    with pytest.raises(ValueError, match="shape"):
        stiefel().project(jnp.ones((2, 3)))
