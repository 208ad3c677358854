"""Both engines train as documented: the same outcomes, and those of a loop written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutants import LAYOUT, generations

import tasks
from metaopt.rules import library, parse
from metaopt.rules.genome import Layout, concatenate, encode, stack, take
from search import device_engine, host_engine
from search.evaluate import TrainingConfig
from search.training import Jobs, Order, Status, schedule

ENGINES = {"host": host_engine.train, "device": device_engine.train}
QUADRATIC = "quadratic_12x8_4_cond1000_noise0.1_seed1"
DIGITS = "digits_mlp_32_relu_b32"
STEPS = 30


def jobs_for(genomes, seeds=(0,), rates=(1.0,)):
    grid = [(p, s, r) for p in range(len(genomes.ops)) for s in seeds for r in rates]
    program, seed, rate = zip(*grid, strict=True)
    return Jobs(np.array(program), np.int32(seed), np.float32(rate))


def train(engine, genomes, jobs=None, layout=LAYOUT, task=QUADRATIC, **options):
    settings = {"steps": STEPS, "course": "cosine", "patience": 0.5} | options
    settings = {"split": "validation", "width": 8} | settings
    return ENGINES[engine](Order(task, genomes, layout, jobs or jobs_for(genomes), **settings))


@pytest.fixture(scope="module")
def mixed():
    """Mutants near the start and far from it: some learn, some do nothing, some diverge."""
    (_, near, _), *_, (_, far, _) = generations(6, 40, seed=21)
    return concatenate([near, far])


def programs_of(*texts):
    rules = [parse(f"def rule(w, g, m, v, lr):\n  {t}\n  return u, m, v") for t in texts]
    layout = Layout.of(rules[0], capacity=6, spares=3)
    return stack([encode(r, layout) for r in rules]), layout


LEARNS, NOTHING, GROWS, LATE, NANS = (
    "u = 0.1 * g",
    "u = 0 * g",
    "u = -9 * g",
    "m = m + 0.3\n  u = exp(m)",
    "u = arccosh(lr)\n  u = u / 0\n  u = u - u\n  u = log(u)",
)


@pytest.mark.parametrize(
    ("task", "patience", "part"),
    [
        (QUADRATIC, 0.3, slice(0, 80)),
        (QUADRATIC, 1.0, slice(0, 24)),
        pytest.param(DIGITS, 0.3, slice(40, 64), marks=pytest.mark.slow),
    ],
)
def test_the_engines_agree(mixed, task, patience, part):
    genomes = take(mixed, part)
    host, device = (train(e, genomes, task=task, patience=patience) for e in ENGINES)
    statuses = host.status.tolist()
    assert Status.FINISHED in statuses
    assert Status.DIVERGED in statuses
    assert (Status.STOPPED in statuses) == (patience < 1)
    np.testing.assert_array_equal(host.status, device.status)
    np.testing.assert_array_equal(np.isinf(host.loss), host.status != Status.FINISHED)
    done = host.status == Status.FINISHED
    np.testing.assert_array_equal(np.isinf(device.loss), ~done)
    np.testing.assert_allclose(host.loss[done], device.loss[done], rtol=2e-3)


# ------------------------------------------------ a loop that shares no code with the engines


def adamw_start(params, grads, m, v, rate, t):
    m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, grads)
    v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, grads)

    def new(w, a, b):
        return w - 0.001 * rate * (a / (jnp.sqrt(b) + 1e-8) + 0.01 * w)

    return jax.tree.map(new, params, m, v), m, v


def sgd(params, grads, m, v, rate, t):
    return jax.tree.map(lambda w, g: w - rate * g, params, grads), m, v


def adam(params, grads, m, v, rate, t):
    m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, grads)
    v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, grads)

    def new(w, a, b):
        a, b = a / (1 - 0.9**t), b / (1 - 0.999**t)
        return w - rate * a / (jnp.sqrt(b) + 1e-8)

    return jax.tree.map(new, params, m, v), m, v


BY_HAND = {"adamw_no_bias_correction": adamw_start, "sgd": sgd, "adam": adam}


def trained_by_hand(name, task_name, seed, rate, steps):
    task = tasks.get(task_name)
    root = jax.random.key(seed)
    params = task.init(jax.random.fold_in(root, 0))
    m = v = jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def step(params, m, v, k, rate):
        batch = task.batch(jax.random.fold_in(jax.random.fold_in(root, 1), k))
        grads = jax.grad(task.loss)(params, batch)
        return BY_HAND[name](params, grads, m, v, rate, k + 1.0)

    for k in range(steps):
        factor = 0.5 * (1 + np.cos(np.pi * k / steps))
        params, m, v = step(params, m, v, k, np.float32(rate * factor))
    return float(task.evaluate(params, "validation"))


@pytest.mark.parametrize(
    ("name", "task", "rate"),
    [
        ("adamw_no_bias_correction", DIGITS, 3.0),
        ("sgd", QUADRATIC, 0.3),
        pytest.param("adam", DIGITS, 0.01, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_known_rule_trains_as_a_loop_by_hand(engine, name, task, rate):
    program = library.get(name)
    layout = Layout.of(program, capacity=20)
    genomes = stack([encode(program, layout)])
    jobs = jobs_for(genomes, seeds=(0, 3), rates=(rate,))
    found = train(engine, genomes, jobs, layout, task, patience=1.0, width=2)
    expected = [trained_by_hand(name, task, seed, rate, STEPS) for seed in (0, 3)]
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-4)
    assert found.steps.tolist() == [STEPS] * 2


# ------------------------------------------------------------- stops, order, and company


@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_and_hopelessness_are_recorded(engine):
    genomes, layout = programs_of(LEARNS, NOTHING, GROWS, LATE, NANS)
    found = train(engine, genomes, layout=layout, patience=0.5, steps=40)
    assert found.status.tolist()[:3] == [Status.FINISHED, Status.STOPPED, Status.DIVERGED]
    assert found.status[4] == Status.DIVERGED
    assert np.isfinite(found.loss).tolist() == [s == Status.FINISHED for s in found.status]
    assert found.steps[0] == 40
    assert found.steps[2] < 20
    assert found.steps[4] == 1


def test_the_host_saves_what_is_stopped():
    genomes, layout = programs_of(LEARNS, NOTHING, GROWS, NANS)
    found = train("host", genomes, layout=layout, patience=0.25, steps=40)
    assert found.steps[1] == 10
    assert found.steps.sum() < 40 + 10 + 20 + 1
    patient = train("host", genomes, layout=layout, patience=1.0, steps=40)
    assert patient.steps[1] == 40
    assert patient.status[1] == Status.FINISHED
    assert patient.loss[1] == pytest.approx(tasks.get(QUADRATIC).trivial_loss, rel=0.5)


@pytest.mark.parametrize("engine", ENGINES)
def test_outcomes_do_not_depend_on_order(engine, mixed):
    jobs = jobs_for(mixed, seeds=(0, 1))
    order = np.random.default_rng(0).permutation(len(jobs.program))
    straight = train(engine, mixed, jobs)
    shuffled = train(engine, mixed, Jobs(*(column[order] for column in jobs)))
    for a, b in zip(straight, shuffled, strict=True):
        np.testing.assert_array_equal(a[order], b)


@pytest.mark.parametrize("task", [QUADRATIC, DIGITS])
def test_outcomes_do_not_depend_on_company(mixed, task):
    genomes = take(mixed, slice(30, 50))
    whole = train("host", genomes, task=task)
    for part in (slice(0, 1), slice(7, 12)):
        alone = train("host", take(genomes, part), task=task)
        for a, b in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(a[part], b)
    again = train("host", genomes, task=task)
    for a, b in zip(whole, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("width", [1, 6, 200])
def test_outcomes_do_not_depend_on_the_width(engine, width, mixed):
    genomes = take(mixed, slice(30, 46))
    reference = train(engine, genomes)
    found = train(engine, genomes, width=width)
    np.testing.assert_array_equal(found.status, reference.status)
    np.testing.assert_array_equal(found.steps, reference.steps)
    # Another width is another compiled program: XLA may round otherwise.
    np.testing.assert_allclose(found.loss, reference.loss, rtol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_seeds_and_rates_are_those_of_the_jobs(engine):
    genomes, layout = programs_of("u = lr * g", LEARNS)
    jobs = jobs_for(genomes, seeds=(0, 1), rates=(0.05, 0.4))
    loss = train(engine, genomes, jobs, layout).loss.reshape(2, 2, 2)
    assert len(np.unique(loss[0])) == 4
    np.testing.assert_array_equal(loss[1, :, 0], loss[1, :, 1])  # it does not read the rate
    assert loss[1, 0, 0] != loss[1, 1, 0]


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_schedules(name):
    course = schedule(name, 10)
    assert course.dtype == np.float32
    assert course.shape == (10,)
    assert course[0] == 1
    expected = {"constant": 1.0, "linear": 0.5, "cosine": 0.5}[name]
    assert course[5] == pytest.approx(expected)


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match=r"'cosin'.*constant, linear, cosine"):
        schedule("cosin", 3)


def test_tasks_with_late_gradients_are_refused():
    late = next(n for n, c in tasks.TASKS.items() if getattr(c, "delay", 0))
    with pytest.raises(ValueError, match="delays gradients"):
        TrainingConfig(tasks=(late,))
