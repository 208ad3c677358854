"""What every task in the table promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import tasks
from tasks.augment import Augmented
from tasks.base import SPLITS
from tasks.families.physics import EQUATIONS, PINN
from tasks.families.quadratic import Quadratic

SEEDS = 2
STEPS = 120

# Most programs here run once, so most of their time would go to LLVM: random draws for a
# convolution's kernel take it ten seconds to optimize.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

# The seeds of every test.
KEYS = jax.random.split(jax.random.key(0), SEEDS)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_trees_close(left, right, **tolerance):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(leaves(left), leaves(right), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def representatives():
    """The tasks that searches run on, and one of every other family."""
    names = [*tasks.SUITES["proxy_v1"], *tasks.SUITES["held_out_demo_v1"]]
    seen = {tasks.family(tasks.TASKS[name]) for name in names}
    for name, entry in tasks.SUITES["held_out_v1"].items():
        family = tasks.family(entry.config)
        if family not in seen:
            seen.add(family)
            names.append(name)
    assert seen == set(tasks.families())
    return names


# Module scope keeps the tests of one task together, so that `initial` is compiled once for them.
@pytest.fixture(scope="module", params=representatives())
def task(request):
    return tasks.get(request.param)


@pytest.fixture(scope="module")
def initial(task):
    """Parameters of every seed, stacked, and the function that made them."""
    init = quick_jit(jax.vmap(task.init))
    return init(KEYS), init


def of_seed(stacked, seed):
    return jax.tree.map(lambda x: x[seed], stacked)


def test_init_is_deterministic_float32(task, initial):
    params, init = initial
    assert tasks.get(task.name) is task
    assert len(leaves(params)) >= 2
    assert all(leaf.dtype == np.float32 for leaf in leaves(params))
    assert all(np.isfinite(leaf).all() for leaf in leaves(params))
    assert any((leaf[0] != leaf[1]).any() for leaf in leaves(params))
    assert tasks.parameter_count(task) == sum(leaf[0].size for leaf in leaves(params))
    again = init(KEYS[::-1])
    for seed in range(SEEDS):
        assert_trees_close(of_seed(params, seed), of_seed(again, -1 - seed), rtol=0)


def test_batches_have_one_shape_and_follow_the_key(task):
    first, again, other = (task.batch(jax.random.key(seed)) for seed in (0, 0, 1))
    expected = jax.eval_shape(task.batch, jax.random.key(2))
    for batch in (first, other):
        assert jax.tree.map(lambda x: (x.shape, x.dtype), batch) == jax.tree.map(
            lambda x: (x.shape, x.dtype), expected
        )
    assert_trees_close(first, again, rtol=0)
    assert any((a != b).any() for a, b in zip(leaves(first), leaves(other), strict=True))


def test_vmap_equals_a_loop(task, initial):

    def scores(params, batch):
        value, gradient = jax.value_and_grad(task.loss)(params, batch)
        return value, gradient, task.evaluate(params, "validation")

    params, batches = initial[0], jax.vmap(task.batch)(KEYS)
    together = quick_jit(jax.vmap(scores))(params, batches)
    alone = quick_jit(scores)
    for seed in range(SEEDS):
        one = alone(of_seed(params, seed), task.batch(KEYS[seed]))
        assert all(np.isfinite(leaf).all() for leaf in leaves(one))
        assert_trees_close(of_seed(together, seed), one, rtol=1e-4, atol=1e-5)


def test_losses_are_float32_scalars(task, initial):
    params = of_seed(initial[0], 0)
    scores = [lambda p, split=split: task.evaluate(p, split) for split in SPLITS]
    scores.append(lambda p: task.loss(p, task.batch(KEYS[0])))
    if task.accuracy is not None:
        scores.append(lambda p: task.accuracy(p, "test"))
    for score in scores:
        value = jax.eval_shape(score, params)
        assert value.shape == ()
        assert value.dtype == jnp.float32


def test_everything_is_float32_where_doubles_are_allowed(task):
    assert_single_precision(task)


OTHERS = (
    *(PINN(name, 0.5, (4,)) for name in EQUATIONS),
    Augmented(Quadratic(), "tensor", spread=10.0, noise=0.1, transform="log"),
    Augmented(Quadratic(), "parameter", spread=10.0, noise=0.1, bfloat16=True, spheres=True),
)


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.name)
def test_equations_and_variations_are_so_too(config):
    assert_single_precision(config.build())


def assert_single_precision(task):
    """That a task is the same task where someone has set `jax_enable_x64`."""
    key = jax.random.key(0)
    with jax.enable_x64(True):
        params, batch = jax.eval_shape(task.init, key), jax.eval_shape(task.batch, key)
        scores = [jax.eval_shape(jax.value_and_grad(task.loss), params, batch)]
        scores += [jax.eval_shape(lambda p, s=s: task.evaluate(p, s), params) for s in SPLITS]
    assert {leaf.dtype for leaf in jax.tree.leaves((params, scores))} == {np.dtype(np.float32)}
    wide = (np.float64, np.int64)
    assert not [leaf for leaf in jax.tree.leaves(batch) if leaf.dtype in wide]


def test_unknown_split_is_an_error(task, initial):
    for score in (task.evaluate, task.accuracy):
        if score is not None:
            with pytest.raises(ValueError, match="validation, test"):
                score(of_seed(initial[0], 0), "train")


def test_training_in_a_scan_beats_the_trivial_loss(task, initial):
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

    loss, accuracy = train(of_seed(initial[0], 0), KEYS[0])
    assert loss < 0.92 * task.trivial_loss
    assert accuracy is None or 0.2 < accuracy <= 1
