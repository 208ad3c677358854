"""What every task in the table promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import tasks
from tasks.base import SPLITS

SEEDS = 2
STEPS = 120

# The seeds of every test, so that a task is compiled once for all of them.
KEYS = jax.random.split(jax.random.key(0), SEEDS)

every_task = pytest.mark.parametrize("name", tasks.names())


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_trees_close(left, right, **tolerance):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(leaves(left), leaves(right), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@functools.cache
def initial(name):
    """Parameters of every seed, stacked."""
    return jax.jit(jax.vmap(tasks.get(name).init))(KEYS)


def of_seed(stacked, seed):
    return jax.tree.map(lambda x: x[seed], stacked)


@every_task
def test_init_is_deterministic_float32(name):
    task = tasks.get(name)
    params = initial(name)
    assert task.name == name
    assert len(leaves(params)) >= 2
    assert all(leaf.dtype == np.float32 for leaf in leaves(params))
    assert all(np.isfinite(leaf).all() for leaf in leaves(params))
    assert any((leaf[0] != leaf[1]).any() for leaf in leaves(params))
    assert tasks.parameter_count(task) == sum(leaf[0].size for leaf in leaves(params))
    assert_trees_close(of_seed(params, 1), jax.jit(task.init)(KEYS[1]), rtol=1e-6, atol=1e-6)


@every_task
def test_batches_have_one_shape_and_follow_the_key(name):
    task = tasks.get(name)
    first, again, other = (task.batch(jax.random.key(seed)) for seed in (0, 0, 1))
    expected = jax.eval_shape(task.batch, jax.random.key(2))
    for batch in (first, other):
        assert jax.tree.map(lambda x: (x.shape, x.dtype), batch) == jax.tree.map(
            lambda x: (x.shape, x.dtype), expected
        )
    assert_trees_close(first, again, rtol=0)
    assert any((a != b).any() for a, b in zip(leaves(first), leaves(other), strict=True))


@every_task
def test_vmap_equals_a_loop(name):
    task = tasks.get(name)

    def scores(params, batch):
        value, gradient = jax.value_and_grad(task.loss)(params, batch)
        return value, gradient, task.evaluate(params, "validation")

    params, batches = initial(name), jax.vmap(task.batch)(KEYS)
    together = jax.jit(jax.vmap(scores))(params, batches)
    alone = jax.jit(scores)
    for seed in range(SEEDS):
        one = alone(of_seed(params, seed), task.batch(KEYS[seed]))
        assert all(np.isfinite(leaf).all() for leaf in leaves(one))
        assert_trees_close(of_seed(together, seed), one, rtol=1e-4, atol=1e-5)


@every_task
def test_losses_are_float32_scalars(name):
    task = tasks.get(name)
    params = of_seed(initial(name), 0)
    scores = [lambda p, split=split: task.evaluate(p, split) for split in SPLITS]
    scores.append(lambda p: task.loss(p, task.batch(KEYS[0])))
    if task.accuracy is not None:
        scores.append(lambda p: task.accuracy(p, "test"))
    for score in scores:
        value = jax.eval_shape(score, params)
        assert value.shape == () and value.dtype == jnp.float32


@every_task
def test_unknown_split_is_an_error(name):
    task = tasks.get(name)
    for score in (task.evaluate, task.accuracy):
        if score is not None:
            with pytest.raises(ValueError, match="validation, test"):
                score(of_seed(initial(name), 0), "train")


@every_task
def test_training_in_a_scan_beats_the_trivial_loss(name):
    task = tasks.get(name)
    optimizer = optax.adam(1e-2)

    def step(state, key):
        params, optimizer_state = state
        gradient = jax.grad(task.loss)(params, task.batch(key))
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), None

    @jax.jit
    def train(params, key):
        keys = jax.random.split(key, STEPS)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        accuracy = None if task.accuracy is None else task.accuracy(params, "validation")
        return task.evaluate(params, "validation"), accuracy

    loss, accuracy = train(of_seed(initial(name), 0), KEYS[0])
    assert loss < 0.9 * task.trivial_loss
    assert accuracy is None or 0.2 < accuracy <= 1
