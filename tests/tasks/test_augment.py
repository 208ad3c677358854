"""Variations of a task: what changes, and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tasks import augment
from tasks.augment import Augmented, delayed
from tasks.families.mlp import MLP
from tasks.families.quadratic import Quadratic

MLP_CONFIG = MLP("wine", (6,), "tanh", 8)
QUADRATIC = Quadratic(shapes=((3, 2), (2,)), condition_number=5.0)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def task():
    return MLP_CONFIG.build()


@pytest.fixture(scope="module")
def params(task):
    return task.init(KEY)


def value_and_grad(task, params, key=KEY):
    return jax.value_and_grad(task.loss)(params, task.batch(key))


@pytest.mark.parametrize("level", ["global", "tensor", "parameter"])
def test_reparametrized_gradients_follow_the_chain_rule(task, params, level):
    scales = augment.random_scales(jax.random.key(1), task, level, 100.0)
    other = augment.reparametrized(task, scales)
    theirs = other.init(KEY)
    loss, gradient = value_and_grad(task, params)
    their_loss, their_gradient = value_and_grad(other, theirs)
    np.testing.assert_allclose(their_loss, loss, rtol=1e-5)
    for w, v, g, h, s in zip(
        *map(jax.tree.leaves, (params, theirs, gradient, their_gradient, scales)), strict=True
    ):
        np.testing.assert_allclose(v * np.asarray(s), w, rtol=1e-5)
        np.testing.assert_allclose(h, g * np.asarray(s), rtol=2e-4, atol=1e-6)
    for score in ("evaluate", "accuracy"):
        np.testing.assert_allclose(
            getattr(other, score)(theirs, "test"), getattr(task, score)(params, "test"), rtol=1e-5
        )


def test_scales_by_level(task):
    drawn = {
        level: jax.tree.leaves(augment.random_scales(KEY, task, level, 10.0))
        for level in ("none", "global", "tensor", "parameter")
    }
    assert all(float(s) == 1 for s in drawn["none"])
    assert len({float(s) for s in drawn["global"]}) == 1
    assert len({float(s) for s in drawn["tensor"]}) == len(drawn["tensor"]) == 4
    assert [s.shape for s in drawn["parameter"]] == [
        w.shape for w in jax.tree.leaves(task.init(KEY))
    ]
    every = np.concatenate([np.ravel(s) for s in drawn["parameter"]])
    assert (every >= 0.1).all()
    assert (every <= 10).all()
    assert 0.35 < np.mean(every > 1) < 0.65


def test_noise_has_the_deviation_and_leaves_the_loss(task, params):
    loud = augment.noisy(task, 0.3)
    keys = jax.random.split(jax.random.key(2), 200)
    batch = task.batch(KEY)

    @jax.jit
    @jax.vmap
    def difference(key):
        noisy_batch = loud.batch(key)._replace(batch=batch)
        loss, gradient = jax.value_and_grad(loud.loss)(params, noisy_batch)
        exact = jax.grad(task.loss)(params, batch)
        return loss, jax.tree.map(jnp.subtract, gradient, exact)

    losses, noise = difference(keys)
    np.testing.assert_allclose(losses, task.loss(params, batch), rtol=1e-5)
    every = np.concatenate([np.ravel(e) for e in jax.tree.leaves(noise)])
    assert abs(every.std() - 0.3) < 0.01
    assert abs(every.mean()) < 0.01
    first = jax.tree.leaves(noise)[0]
    assert not np.allclose(first[0], first[1])


def test_a_batch_of_noise_levels_is_one_program(task, params):
    def gradient(deviation):
        loud = augment.noisy(task, deviation)
        return jax.grad(loud.loss)(params, loud.batch(KEY))

    quiet, loud = (
        jax.tree.map(lambda x, i=i: x[i], jax.vmap(gradient)(jnp.array([0.0, 1.0]))) for i in (0, 1)
    )
    exact = jax.grad(task.loss)(params, task.batch(KEY))
    for a, b, c in zip(*map(jax.tree.leaves, (quiet, exact, loud)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert not np.allclose(a, c)


def test_coarse_is_near_but_not_the_same(task, params):
    loss, gradient = value_and_grad(augment.coarse(task), params)
    exact, exact_gradient = value_and_grad(task, params)
    assert loss.dtype == jnp.float32
    assert 0 < abs(float(loss - exact)) < 0.02
    for g, e in zip(*map(jax.tree.leaves, (gradient, exact_gradient)), strict=True):
        assert g.dtype == jnp.float32
        np.testing.assert_allclose(g, e, atol=0.05)


def test_on_spheres_the_scale_of_a_matrix_does_not_matter(task, params):
    sphere = augment.on_spheres(task)
    larger = jax.tree.map(lambda w: 3 * w if w.ndim == 2 else w, params)
    loss, gradient = value_and_grad(sphere, params)
    np.testing.assert_allclose(value_and_grad(sphere, larger)[0], loss, rtol=1e-4)
    for w, g in zip(*map(jax.tree.leaves, (params, gradient)), strict=True):
        if w.ndim == 2:
            assert abs(float(jnp.sum(w * g))) < 1e-4


@pytest.mark.parametrize(
    ("transform", "expected"),
    [("log", np.log1p), ("half", lambda x: x / 2), ("double", lambda x: 2 * x)],
)
def test_transformed_losses(task, params, transform, expected):
    changed = augment.with_loss(task, transform)
    loss = float(value_and_grad(task, params)[0])
    np.testing.assert_allclose(value_and_grad(changed, params)[0], expected(loss), rtol=1e-6)
    assert changed.evaluate(params, "test") == task.evaluate(params, "test")


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_delayed_gradients(steps):
    transformation = delayed(steps)
    params = {"w": jnp.zeros(2)}
    state = transformation.init(params)
    arrived = []
    for k in range(1, 7):
        due, state = transformation.update({"w": jnp.full(2, float(k))}, state, params)
        arrived.append(float(due["w"][0]))
    assert arrived == [0.0] * steps + [float(k) for k in range(1, 7 - steps)]


def test_late_gradients_make_large_steps_unstable():
    late = Augmented(QUADRATIC, delay=5).build()
    assert late.delay == 5

    def train(delay):
        optimizer = optax.chain(delayed(delay), optax.sgd(0.9))

        def step(carry, key):
            params, state = carry
            gradient = jax.grad(late.loss)(params, late.batch(key))
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), None

        start = late.init(KEY)
        keys = jax.random.split(KEY, 60)
        (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), keys)
        return float(late.evaluate(params, "test"))

    assert train(0) < 1e-3 < 1 < train(late.delay)


def test_names_say_what_differs():
    config = Augmented(
        MLP_CONFIG, level="tensor", spread=10.0, seed=3, noise=0.01, delay=2, bfloat16=True,
        spheres=True, transform="log",
    )  # fmt: skip
    assert config.name == (
        "wine_mlp_6_tanh_b8__tensor10s3__noise0.01__delay2__bfloat16__spheres__logloss"
    )
    assert config.build().name == config.name
    assert Augmented(MLP_CONFIG).name == MLP_CONFIG.name


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "layer"}, {"transform": "exp"}, {"delay": -1}, {"spread": -10.0},
        {"spread": 0.5}, {"spread": np.inf}, {"spread": np.nan},
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_an_error(wrong):
    with pytest.raises(ValueError, match=f"Augmented: {next(iter(wrong))}"):
        Augmented(MLP_CONFIG, **wrong)


@pytest.mark.parametrize("noise", [-0.1, np.inf, np.nan])
def test_noise_without_meaning_is_an_error(noise):
    with pytest.raises(ValueError, match=f"Augmented: .* noise {noise} at least 0"):
        Augmented(MLP_CONFIG, noise=noise)


def test_variations_are_drawn_from_everything():
    generator = np.random.Generator(np.random.PCG64(0))
    drawn = [augment.varied(generator, MLP_CONFIG) for _ in range(300)]
    assert {v.level for v in drawn} == {"none", "global", "tensor", "parameter"}
    assert {v.transform for v in drawn} == {"none", "log", "half", "double"}
    for chosen in ("noise", "delay", "bfloat16", "spheres"):
        assert 2 < sum(bool(getattr(v, chosen)) for v in drawn) < 90
    assert any(v.base.batch_size < MLP_CONFIG.batch_size for v in drawn)
