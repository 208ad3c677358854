"""Quadratics: the spectrum, the minimum and the noise are those promised."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks.families.quadratic import Quadratic, sample

QUADRATICS = [name for name in tasks.names() if name.startswith("quadratic")]


@pytest.mark.parametrize("name", QUADRATICS)
def test_trivial_loss_is_that_of_the_origin(name):
    task = tasks.get(name)
    origin = jax.tree.map(jnp.zeros_like, task.init(jax.random.key(0)))
    for split in tasks.SPLITS:
        assert float(task.evaluate(origin, split)) == pytest.approx(task.trivial_loss, rel=1e-5)


@pytest.mark.parametrize("condition_number", [1.0, 30.0])
def test_hessian_and_minimum(condition_number):
    config = Quadratic(shapes=((3, 2), (2,)), condition_number=condition_number, noise=0.5, seed=3)
    task = config.build()
    spectrum, rotation, center = sample(config)
    flat, unravel = jax.flatten_util.ravel_pytree(task.init(jax.random.key(0)))
    hessian = jax.hessian(lambda x: task.loss(unravel(x), task.batch(jax.random.key(1))))(flat)
    np.testing.assert_allclose(hessian, rotation * spectrum[None, :] @ rotation.T, atol=1e-5)
    eigenvalues = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    assert eigenvalues[-1] == pytest.approx(1.0, rel=1e-4)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(condition_number, rel=1e-3)
    minimum = unravel(jnp.asarray(center, jnp.float32))
    assert float(task.evaluate(minimum, "validation")) == pytest.approx(0.0, abs=1e-10)


def test_gradient_noise_has_zero_mean_and_covariance_noise_squared_times_hessian():
    config = Quadratic(shapes=((2, 2), (1,)), condition_number=10.0, noise=0.5)
    task = config.build()
    spectrum, rotation, _ = sample(config)
    params = task.init(jax.random.key(0))

    def gradient(key):
        return jax.flatten_util.ravel_pytree(jax.grad(task.loss)(params, task.batch(key)))[0]

    gradients = np.asarray(jax.vmap(gradient)(jax.random.split(jax.random.key(1), 20_000)))
    objective = jax.grad(lambda p: task.evaluate(p, "validation"))(params)
    expected = np.asarray(jax.flatten_util.ravel_pytree(objective)[0])
    np.testing.assert_allclose(gradients.mean(axis=0), expected, atol=0.02)
    covariance = 0.25 * (rotation * spectrum[None, :]) @ rotation.T
    np.testing.assert_allclose(np.cov(gradients.T), covariance, atol=0.01)


def test_the_seed_fixes_the_problem():
    spectrum, rotation, center = sample(Quadratic(seed=1))
    again, other = sample(Quadratic(seed=1)), sample(Quadratic(seed=2))
    for a, b in zip((spectrum, rotation, center), again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(center, other[2])
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(len(center)), atol=1e-12)
    # Written down, so that another platform or NumPy cannot change published numbers unseen.
    np.testing.assert_allclose(center[:3], GOLDEN_CENTER, rtol=1e-9)


@pytest.mark.parametrize("wrong", [{"shapes": ((4,),)}, {"condition_number": 0.5}, {"noise": -1.0}])
def test_wrong_configurations_are_errors(wrong):
    with pytest.raises(ValueError, match=f"Quadratic: .*{next(iter(wrong))}"):
        Quadratic(**wrong)


GOLDEN_CENTER = [-0.11217157917450439, 0.10817522136561677, 0.2651309067544651]
