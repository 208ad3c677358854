"""Differential equations: solutions solve them, and only they do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from tasks.families.physics import EQUATIONS, PINN, _burgers, derivative

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def drawn(task):
    """Parameters and a batch."""
    return quick_jit(lambda: (task.init(jax.random.key(0)), task.batch(jax.random.key(1))))()


@pytest.mark.parametrize("name", EQUATIONS)
def test_solutions_solve_their_equation(name):
    equation, k = EQUATIONS[name], np.sqrt(np.prod(EQUATIONS[name].coefficients))
    points = np.random.Generator(np.random.PCG64(0)).random((200, 2)).astype(np.float32)
    points = points * [1.8, 0.9] - [0.9, -0.05]

    def solution(points):
        return equation.solution(points, float(k))

    @quick_jit
    def residuals(points):
        def wrong(points):
            return 1.1 * solution(points) + 0.1 * points[:, 0] ** 2

        return [equation.residual(u, points, float(k)) for u in (solution, wrong)]

    right, wrong = residuals(jnp.asarray(points, jnp.float32))
    assert np.abs(right).max() < 2e-3
    assert np.abs(wrong).mean() > 2e-2


def test_derivatives_by_differences():
    def field(points):
        return jnp.sin(points[:, 0]) * points[:, 1] ** 3

    points = jnp.array([[0.3, 0.5], [1.0, 0.2]])
    x, t = np.asarray(points, np.float64).T
    twice = derivative(derivative(field, 0), 0)
    np.testing.assert_allclose(derivative(field, 0)(points), np.cos(x) * t**3, rtol=1e-5)
    np.testing.assert_allclose(derivative(field, 1)(points), 3 * np.sin(x) * t**2, rtol=1e-5)
    np.testing.assert_allclose(twice(points), -np.sin(x) * t**3, rtol=1e-5)


def test_burgers_solution_against_a_numerical_one():
    """By finite differences in conservation form and an adaptive Runge-Kutta method."""
    k, x = 0.05, np.linspace(-1.0, 1.0, 401)
    step = x[1] - x[0]

    def velocity(_, u):
        slope = np.zeros_like(u)
        flux = u**2 / 2
        slope[1:-1] = (flux[:-2] - flux[2:]) / (2 * step)
        slope[1:-1] += k * (u[2:] - 2 * u[1:-1] + u[:-2]) / step**2
        return slope

    times = [0.25, 1.0]
    start = -np.sin(np.pi * x)
    solved = scipy.integrate.solve_ivp(velocity, (0.0, 1.0), start, "LSODA", times, rtol=1e-7)
    for t, u in zip(times, solved.y.T, strict=True):
        points = jnp.asarray(np.stack([x, np.full_like(x, t)], axis=-1), jnp.float32)
        np.testing.assert_allclose(_burgers(points, k), u, atol=2e-3)


@pytest.mark.parametrize("name", ["poisson", "heat"])
def test_points_lie_inside_and_on_the_boundary(name):
    task = PINN(name, batch_size=256).build()
    _, batch = drawn(task)
    (x, t), (edge_x, edge_t) = np.asarray(batch.interior).T, np.asarray(batch.boundary).T
    assert x.min() < -0.9
    assert x.max() > 0.9
    assert 0.0 <= t.min() < 0.05
    assert 0.95 < t.max() < 1.0
    sides = [edge_t == 0.0, edge_x == -1.0, edge_x == 1.0, edge_t == 1.0]
    shares = np.array([side.mean() for side in sides])
    expected = [0.25] * 4 if name == "poisson" else [1 / 3] * 3 + [0.0]
    np.testing.assert_allclose(shares, expected, atol=0.01)
    assert np.any(sides, axis=0).all()
    prescribed = EQUATIONS[name].solution(batch.boundary, 0.1)
    np.testing.assert_allclose(batch.values, prescribed, atol=1e-6)


def test_the_zero_field_has_the_trivial_loss():
    task = PINN("reaction", 2.0).build()
    params, _ = drawn(task)
    evaluate = quick_jit(lambda p: [task.evaluate(p, split) for split in ("validation", "test")])
    zero, one = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    np.testing.assert_allclose(evaluate(zero), task.trivial_loss, rtol=1e-6)
    one["Dense_2"]["bias"] += 1.0
    assert float(evaluate(one)[0]) != pytest.approx(float(evaluate(one)[1]), rel=1e-6)


def test_the_loss_of_a_constant_field_by_hand():
    """The residual of u = 1 is 0, its error on the boundary is not."""
    task = PINN(boundary_weight=3.0).build()
    params, batch = drawn(task)
    one = jax.tree.map(jnp.zeros_like, params)
    one["Dense_2"]["bias"] += 1.0
    expected = 3.0 * np.mean((1.0 - np.asarray(batch.values)) ** 2)
    assert float(quick_jit(task.loss)(one, batch)) == pytest.approx(expected, rel=1e-5)


def test_the_coefficient_may_be_traced():
    traced = type("Traced", (PINN,), {"name": "traced", "__post_init__": lambda self: None})

    def scores(coefficient, kind):
        task = kind("advection", coefficient, widths=(4,)).build()
        params, batch = task.init(jax.random.key(0)), task.batch(jax.random.key(1))
        return task.loss(params, batch), task.evaluate(params, "test")

    together = quick_jit(jax.vmap(lambda k: jnp.stack(scores(k, traced))))(jnp.array([0.5, 2.0]))
    alone = quick_jit(lambda: jnp.stack(scores(2.0, PINN)))()
    np.testing.assert_allclose(together[1], alone, rtol=1e-4)


def test_samples_differ_and_names_tell_them_apart():
    generator = np.random.Generator(np.random.PCG64(0))
    configs = [PINN(), *(PINN.sample(generator) for _ in range(30))]
    assert len({config.name for config in configs}) == len(set(configs)) > 25


@pytest.mark.parametrize(
    "wrong",
    [{"equation": "laplace"}, {"coefficient": 0.0}, {"activation": "relu"}, {"batch_size": 1}],
)
def test_wrong_configurations_are_errors(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PINN(**wrong)
