"""All trials in one program are the trainings that a plain Optax loop does one by one."""

import itertools

import jax
import numpy as np
import optax
import pytest

import tasks
from metaopt.learned import celo
from search.bench import engine
from search.bench.contenders import Contender, Range, find, trials
from search.bench.engine import Group, Stopped, train
from search.training import initial_key, schedule, step_key
from tasks.augment import Augmented
from tasks.families.mlp import MLP
from tasks.families.quadratic import Quadratic

QUADRATIC = Quadratic(shapes=((4, 3), (3,)), condition_number=30.0, noise=0.1)
INTERVAL, POINTS = 5, 4


def plain_loop(task, optimizer, seed, steps):
    """Training loss of every step, and the parameters after it."""

    @jax.jit
    def step(params, state, count):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), count)
        loss, gradient = jax.value_and_grad(task.loss)(params, task.batch(key))
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = task.init(jax.random.fold_in(jax.random.key(seed), 0))
    state, losses, course = optimizer.init(params), [], []
    for count in range(steps):
        params, state, loss = step(params, state, count)
        losses.append(float(loss))
        course.append(params)
    return np.array(losses), course


@pytest.mark.parametrize(
    "config",
    [
        QUADRATIC,
        pytest.param(MLP(widths=(8,), batch_size=4), marks=pytest.mark.slow),
        Augmented(QUADRATIC, delay=2),
    ],
)
def test_every_trial_is_a_plain_optax_loop(config):
    task = config.build()
    steps = INTERVAL * POINTS
    groups = [
        Group(find("adamw"), "cosine", {"learning_rate": np.array([0.01, 0.1])}),
        Group(find("momentum_sgd"), "wsd", {"learning_rate": np.array([0.02])}),
    ]
    initial, (found,) = train(task, groups, seeds=[3, 7], interval=INTERVAL, points=[POINTS])
    keys = [jax.random.fold_in(jax.random.key(seed), 0) for seed in (3, 7)]
    losses = [task.evaluate(task.init(key), "validation") for key in keys]
    np.testing.assert_allclose(initial, np.mean(losses), rtol=1e-5)
    for group, measured in zip(groups, found, strict=True):
        course = schedule(group.schedule, steps)
        for (t, rate), (s, seed) in itertools.product(
            enumerate(group.hyperparameters["learning_rate"]), enumerate([3, 7])
        ):
            optimizer = group.contender.build(
                lambda k, c=course, r=rate: r * jax.numpy.asarray(c)[k]
            )
            if task.delay:
                optimizer = optax.chain(tasks.augment.delayed(task.delay), optimizer)
            losses, params = plain_loop(task, optimizer, seed, steps)
            np.testing.assert_allclose(
                measured.training[t, s], losses.reshape(POINTS, INTERVAL).mean(1), rtol=2e-3
            )
            for k in range(POINTS):
                expected = task.evaluate(params[(k + 1) * INTERVAL - 1], "validation")
                np.testing.assert_allclose(measured.validation[t, s, k], expected, rtol=2e-3)
            np.testing.assert_allclose(
                measured.test[t, s], task.evaluate(params[-1], "test"), rtol=2e-3
            )
        assert measured.steps.tolist() == [5, 10, 15, 20]


def test_company_and_lengths_change_nothing():
    task = QUADRATIC.build()
    adam, sgd = (
        Group(find(name), "linear", trials(find(name), 4, "grid")) for name in ("adam", "sgd")
    )
    alone = train(task, [adam], seeds=[0, 1], interval=INTERVAL, points=[2, 4]).lengths
    together = train(task, [sgd, adam], seeds=[0, 1], interval=INTERVAL, points=[4, 2]).lengths
    for one, other in ((alone[0][0], together[1][1]), (alone[1][0], together[0][1])):
        for a, b in zip(one[1:], other[1:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    assert not np.allclose(alone[0][0].test, alone[1][0].test)


def test_one_compilation_serves_all_lengths(monkeypatch):
    programs = []
    monkeypatch.setattr(
        engine, "Program", lambda *a: programs.append(engine_program(*a)) or programs[-1]
    )
    task = QUADRATIC.build()
    group = Group(find("adam"), "cosine", trials(find("adam"), 2, "grid"))
    train(task, [group], seeds=[0], interval=INTERVAL, points=[1, 3])
    (program,) = programs
    for compiled in (program._started, program._advanced, program.validation, program.test):
        assert compiled._cache_size() == 1


engine_program = engine.Program


def test_parts_that_fit_in_memory_are_the_whole(monkeypatch):
    task = QUADRATIC.build()
    group = Group(find("adamw"), "cosine", trials(find("adamw"), 5, "random"))
    whole = train(task, [group], seeds=[0, 1], interval=INTERVAL, points=[2]).lengths[0][0]
    monkeypatch.setattr(engine, "_MEMORY", 12 * 15 * 4 * 2 * 2)
    assert len(engine._parts(task, [group], 2)) == 3
    parts = train(task, [group], seeds=[0, 1], interval=INTERVAL, points=[2]).lengths[0][0]
    np.testing.assert_array_equal(
        parts.hyperparameters["weight_decay"], whole.hyperparameters["weight_decay"]
    )
    for a, b in zip(parts[1:], whole[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_groups_of_different_sizes_share_the_parts(monkeypatch):
    task = QUADRATIC.build()
    groups = [
        Group(find("sgd"), "cosine", {"learning_rate": np.array([0.1])}),
        Group(find("adam"), "cosine", trials(find("adam"), 3, "grid")),
        Group(find("lion"), "cosine", trials(find("lion"), 2, "grid")),
    ]
    whole = train(task, groups, seeds=[0], interval=INTERVAL, points=[1, 2])
    monkeypatch.setattr(engine, "_MEMORY", 12 * 15 * 4 * 2)
    parts = engine._parts(task, groups, 1)
    assert [{place: group.size for place, group in part.items()} for part in parts] == [
        {0: 1, 1: 1, 2: 1},
        {1: 1, 2: 1},
        {1: 1},
    ]
    cut = train(task, groups, seeds=[0], interval=INTERVAL, points=[1, 2])
    assert cut.initial_loss == pytest.approx(whole.initial_loss, rel=1e-5)
    for left, right in zip(cut.lengths, whole.lengths, strict=True):
        for a, b in zip(left, right, strict=True):
            assert a.hyperparameters.keys() == b.hyperparameters.keys()
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-5)


def test_a_learned_optimizer_sees_the_loss_and_each_length():
    task, learned = QUADRATIC.build(), celo(hidden=4, units=2, layers=1)
    theta = jax.tree.map(lambda w: w + 0.1, learned.init(jax.random.key(0)))

    def build(learning_rate, num_steps=None):
        return learned.bind(theta, num_steps=num_steps)

    contender = Contender("celo", build, {}, "traced")
    groups = [Group(contender, name, trials(contender, 5, "grid")) for name in ("cosine", "wsd")]
    groups.append(Group(find("adam"), "cosine", trials(find("adam"), 2, "grid")))
    found = train(task, groups, seeds=[3], interval=INTERVAL, points=[2, POINTS])
    for points, (cosine, wsd, _) in zip((2, POINTS), found.lengths, strict=True):
        steps = INTERVAL * points
        params = task.init(initial_key(3))
        optimizer = learned.bind(theta, num_steps=steps)
        state = optimizer.init(params)

        @jax.jit
        def step(params, state, count, optimizer=optimizer):
            loss, gradient = jax.value_and_grad(task.loss)(params, task.batch(step_key(3, count)))
            updates, state = optimizer.update(gradient, state, params, value=loss)
            return optax.apply_updates(params, updates), state

        for count in range(steps):
            params, state = step(params, state, count)
        np.testing.assert_allclose(cosine.test[0, 0], task.evaluate(params, "test"), rtol=2e-3)
        assert cosine.test.shape == (1, 1)
        for a, b in zip(cosine[1:], wsd[1:], strict=True):
            np.testing.assert_array_equal(a, b)


def test_divergence_is_recorded_as_it_is():
    group = Group(find("sgd"), "constant", {"learning_rate": np.array([1e3, 0.1])})
    _, ((found,),) = train(QUADRATIC.build(), [group], seeds=[0], interval=20, points=[3])
    assert not np.isfinite(found.validation[0, 0, -1])
    assert np.isfinite(found.validation[1]).all()
    assert found.validation.shape == (2, 1, 3)


def test_it_stops_when_asked():
    answers = iter([False, False, True])
    group = Group(find("sgd"), "constant", {"learning_rate": np.array([0.1])})
    with pytest.raises(Stopped):
        train(
            QUADRATIC.build(),
            [group],
            seeds=[0],
            interval=1,
            points=[9],
            stop=lambda: next(answers),
        )


def test_the_loss_reaches_optimizers_that_ask_for_it():
    seen = []

    def build(learning_rate):
        def update(updates, state, params=None, *, value, **_):
            seen.append(value.shape)
            return jax.tree.map(lambda g: -learning_rate(0) * value * g, updates), state

        return optax.GradientTransformationExtraArgs(lambda _: (), update)

    group = Group(
        Contender("polyak", build, {"learning_rate": Range(0.1, 1)}),
        "constant",
        {"learning_rate": np.array([0.1])},
    )
    _, ((found,),) = train(QUADRATIC.build(), [group], seeds=[0], interval=5, points=[2])
    assert seen[0] == ()
    assert found.validation[0, 0, -1] < found.validation[0, 0, 0]
