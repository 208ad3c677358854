"""Games: who descends what, and how far from equilibrium the value says they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance

from tasks.families.games import (
    ADVERSARIES,
    GAN,
    Bilinear,
    bilinear_game,
    energy_distance,
    ring,
    value_with_gradient_of,
)

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def drawn(task):
    """Parameters and a batch."""
    return quick_jit(lambda: (task.init(jax.random.key(0)), task.batch(jax.random.key(1))))()


def test_value_of_one_gradient_of_another():
    value, gradient = jax.value_and_grad(lambda x: value_with_gradient_of(x**2, 5.0 * x))(3.0)
    assert (float(value), float(gradient)) == (9.0, 5.0)


@pytest.mark.parametrize("family", [Bilinear, GAN])
def test_samples_differ_and_names_tell_them_apart(family):
    generator = np.random.Generator(np.random.PCG64(0))
    configs = [family(), *(family.sample(generator) for _ in range(30))]
    assert len({config.name for config in configs}) == len(set(configs)) > 25


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        (Bilinear, {"dimension": 0}),
        (Bilinear, {"condition_number": 0.5}),
        (Bilinear, {"regularization": -1.0}),
        (GAN, {"adversary": "wasserstein"}),
        (GAN, {"latent": 0}),
        (GAN, {"penalty": -1.0}),
    ],
)
def test_wrong_configurations_are_errors(family, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        family(**wrong)


def test_bilinear_gradients_are_each_players_own():
    config = Bilinear(4, condition_number=5.0, regularization=0.3, noise=0.5, seed=2)
    task = config.build()
    params, batch = drawn(task)
    value, gradient = quick_jit(jax.value_and_grad(task.loss))(params, batch)
    coupling, a, b = bilinear_game(config)
    x, y = np.asarray(params["minimizer"]) - a, np.asarray(params["maximizer"]) - b
    noise = 0.5 * np.asarray(batch)
    np.testing.assert_allclose(gradient["minimizer"], coupling @ y + 0.3 * x + noise[0], rtol=1e-4)
    np.testing.assert_allclose(
        gradient["maximizer"], -coupling.T @ x + 0.3 * y + noise[1], rtol=1e-4
    )
    distance = (x @ x + y @ y) / (a @ a + b @ b)
    assert float(value) == pytest.approx(distance, rel=1e-5)
    assert np.linalg.cond(coupling) == pytest.approx(5.0)


@pytest.mark.parametrize("regularization", [0.0, 0.5])
def test_descent_reaches_the_saddle_point_only_where_the_game_is_regularized(regularization):
    task = Bilinear(4, condition_number=2.0, regularization=regularization).build()
    params, batch = drawn(task)

    def descend(params, _):
        gradient = jax.grad(task.loss)(params, batch)
        return jax.tree.map(lambda w, g: w - 0.2 * g, params, gradient), None

    @quick_jit
    def train(params):
        params, _ = jax.lax.scan(descend, params, length=300)
        return task.evaluate(params, "test")

    distance = float(train(jax.tree.map(jnp.zeros_like, params)))
    assert distance < 1e-4 if regularization else distance > 2.0


def test_optimism_reaches_the_saddle_point_of_the_unregularized_game():
    task = Bilinear(4, condition_number=2.0).build()
    params, batch = drawn(task)

    def step(state, _):
        params, before = state
        gradient = jax.grad(task.loss)(params, batch)
        params = jax.tree.map(lambda w, g, b: w - 0.2 * (2.0 * g - b), params, gradient, before)
        return (params, gradient), None

    @quick_jit
    def train(params):
        start = (params, jax.tree.map(jnp.zeros_like, params))
        (params, _), _ = jax.lax.scan(step, start, length=1500)
        return task.evaluate(params, "test")

    assert float(train(params)) < 1e-3


def test_regularization_may_be_traced():
    traced = type("Traced", (Bilinear,), {"name": "traced", "__post_init__": lambda self: None})

    def gradient(regularization, kind):
        task = kind(dimension=3, regularization=regularization).build()
        params, batch = task.init(jax.random.key(0)), task.batch(jax.random.key(1))
        return jax.grad(task.loss)(params, batch)["minimizer"]

    together = quick_jit(jax.vmap(lambda value: gradient(value, traced)))(jnp.array([0.5, 1.0]))
    alone = quick_jit(lambda: gradient(0.5, Bilinear))()
    np.testing.assert_allclose(together[0], alone, rtol=1e-4)


# ---------------------------------------------------------------- generative adversarial network


def test_energy_distance_by_hand():
    generator = np.random.Generator(np.random.PCG64(0))
    left, right = generator.standard_normal((7, 2)), generator.standard_normal((5, 2)) + 1.0
    mean = [
        scipy.spatial.distance.cdist(a, b).mean()
        for a, b in ((left, right), (left, left), (right, right))
    ]
    points = [jnp.asarray(x, jnp.float32) for x in (left, right)]
    distance = quick_jit(energy_distance)
    assert float(distance(*points)) == pytest.approx(2 * mean[0] - mean[1] - mean[2], rel=1e-4)
    assert 0.0 <= float(distance(points[0], points[0])) < 1e-6


def test_real_points_lie_on_the_ring():
    _, batch = drawn(GAN(modes=5, batch_size=512).build())
    centers = np.asarray(ring(jnp.arange(5, dtype=jnp.int32), 5))
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 2.0, rtol=1e-5)
    nearest = scipy.spatial.distance.cdist(np.asarray(batch.real), centers)
    assert nearest.min(axis=1).max() < 0.12
    assert (np.bincount(nearest.argmin(axis=1), minlength=5) > 60).all()


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_each_network_descends_its_own_loss(adversary):
    """Against gradients of the two losses, each taken with the other network held."""
    config = GAN((6,), latent=3, adversary=adversary, activation="tanh", batch_size=8, penalty=0.5)
    task = config.build()
    params, batch = drawn(task)
    losses = ADVERSARIES[adversary]

    def network(weights, inputs):
        first, last = weights["Dense_0"], weights["Dense_1"]
        hidden = jnp.tanh(inputs @ first["kernel"] + first["bias"][None])
        return hidden @ last["kernel"] + last["bias"][None]

    def discriminator_loss(weights):
        fake = network(params["generator"], batch.latent)
        slope = jax.vmap(jax.grad(lambda x: network(weights, x[None])[0, 0]))(batch.real)
        return (
            jnp.mean(losses.real(network(weights, batch.real)))
            + jnp.mean(losses.fake(network(weights, fake)))
            + 0.25 * jnp.mean(jnp.sum(slope**2, axis=-1))
        )

    def generator_loss(weights):
        fake = network(weights, batch.latent)
        return jnp.mean(losses.generator(network(params["discriminator"], fake)))

    @quick_jit
    def compare():
        value, gradient = jax.value_and_grad(task.loss)(params, batch)
        expected = {
            "discriminator": jax.grad(discriminator_loss)(params["discriminator"]),
            "generator": jax.grad(generator_loss)(params["generator"]),
        }
        fake = network(params["generator"], batch.latent)
        return gradient, expected, value, energy_distance(fake, batch.real)

    gradient, expected, value, distance = compare()
    assert float(value) == pytest.approx(float(distance), rel=1e-5)
    assert jax.tree.structure(gradient) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_the_trivial_generator_gives_the_centre_of_the_ring():
    task = GAN((4,)).build()
    params, _ = drawn(task)
    centre = jax.tree.map(jnp.zeros_like, params)
    evaluate = quick_jit(lambda p: task.evaluate(p, "validation"))
    assert float(evaluate(centre)) == pytest.approx(task.trivial_loss, rel=1e-5)
    # 2 E|y| - E|y - y'| of eight points on a circle of radius 2.
    chords = 2 * 2 * np.abs(np.sin(np.pi * np.arange(8) / 8))
    assert task.trivial_loss == pytest.approx(4.0 - chords.mean(), rel=0.01)
