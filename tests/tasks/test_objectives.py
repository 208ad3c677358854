"""Objectives with a known minimum, and linear models: the numbers are those promised."""

import dataclasses
import functools
import itertools
import re

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from tasks import data
from tasks.families import regression, skip_gram
from tasks.families.drifting import DriftingQuadratic
from tasks.families.factorization import DeepLinear, Factorization, linear_teacher, low_rank_matrix
from tasks.families.functions import FUNCTIONS, Landscape, geometry
from tasks.families.regression import LeastSquares, LinearModel, linear_truth
from tasks.families.skip_gram import SkipGram

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def drawn(task):
    """Parameters and a batch."""
    return quick_jit(lambda: (task.init(jax.random.key(0)), task.batch(jax.random.key(1))))()


FAMILIES = (
    Landscape,
    LinearModel,
    LeastSquares,
    DriftingQuadratic,
    Factorization,
    DeepLinear,
    SkipGram,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_differ_and_names_tell_them_apart(family):
    generator = np.random.Generator(np.random.PCG64(0))
    configs = [family(), *(family.sample(generator) for _ in range(30))]
    assert len({config.name for config in configs}) == len(set(configs)) > 25


@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_is_reproducible(family):
    first, again = (family.sample(np.random.Generator(np.random.PCG64(7))) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        (Landscape, {"function": "parabola"}),
        (Landscape, {"dimension": 3}),
        (Landscape, {"noise": -0.1}),
        (LinearModel, {"features": "cubic"}),
        (LinearModel, {"loss": "absolute"}),
        (LinearModel, {"penalty": -1.0}),
        (LeastSquares, {"condition_number": 0.5}),
        (LeastSquares, {"label_noise": -1.0}),
        (DriftingQuadratic, {"pace": 0.0}),
        (DriftingQuadratic, {"dimension": 1}),
        (Factorization, {"rank": 4}),
        (Factorization, {"observed": "rows"}),
        (Factorization, {"measurements": 1000}),
        (DeepLinear, {"widths": (4, 4)}),
        (DeepLinear, {"rank": 9}),
        (SkipGram, {"shared": 0}),
    ],
)
def test_wrong_configurations_are_errors(family, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        family(**wrong)


# ---------------------------------------------------------------- functions


def textbook(name, x):
    """The functions as they are usually printed, in NumPy and float64."""
    d = len(x)
    if name == "rosenbrock":
        return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(d - 1))
    if name == "beale":
        return sum(
            (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2
            for a, b in x.reshape(-1, 2)
        )
    if name == "himmelblau":
        return sum((a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2 for a, b in x.reshape(-1, 2))
    if name == "powell":
        return sum(
            (a + 10 * b) ** 2 + 5 * (c - e) ** 2 + (b - 2 * c) ** 4 + 10 * (a - e) ** 4
            for a, b, c, e in x.reshape(-1, 4)
        )
    if name == "rastrigin":
        return 10 * d + np.sum(x**2 - 10 * np.cos(2 * np.pi * x))
    if name == "ackley":
        ripples = np.exp(np.mean(np.cos(2 * np.pi * x)))
        return 20 - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) + np.e - ripples
    if name == "levy":
        w = 1 + (x - 1) / 4
        inner = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
        last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
        return np.sin(np.pi * w[0]) ** 2 + np.sum(inner) + last
    return np.sum(x**4 - 16 * x**2 + 5 * x) / 2 + 39.16616570377142 * d


def split_in_two(u):
    half = len(u) // 2
    u = jnp.asarray(u, jnp.float32)
    return {"tensor_0": u[:half], "tensor_1": u[half:]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_the_textbook(name):
    x = np.random.Generator(np.random.PCG64(3)).uniform(-3.0, 3.0, 8)
    value = FUNCTIONS[name].value(jnp.asarray(x, jnp.float32))
    assert float(value) == pytest.approx(textbook(name, x), rel=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_landscapes_start_at_one_and_are_lowest_at_the_minimizer(name):
    config = Landscape(name, dimension=8, rotation=2)
    task = config.build()
    start, rotation, minimizer = geometry(config)
    evaluate = quick_jit(lambda u: task.evaluate(split_in_two(u), "test"))
    assert float(evaluate(np.zeros(8))) == pytest.approx(1.0, rel=1e-5)
    assert 0.0 <= float(evaluate(minimizer)) < 1e-6
    u = np.random.Generator(np.random.PCG64(4)).uniform(-1.0, 1.0, 8)
    expected = textbook(name, start + rotation @ u) / textbook(name, start)
    assert float(evaluate(u)) == pytest.approx(expected, rel=1e-3)
    gradient = quick_jit(jax.grad(lambda u: task.evaluate(split_in_two(u), "test")))
    # A tip, where the gradient jumps, is as low as a minimum can be.
    flat = name == "ackley" or np.abs(gradient(jnp.asarray(minimizer, jnp.float32))).max() < 1e-2
    assert flat


def test_a_landscapes_noise_is_in_the_gradient_alone():
    quiet, noisy = Landscape().build(), Landscape(noise=0.5).build()
    params, batch = drawn(quiet)
    value, gradient = quick_jit(jax.value_and_grad(quiet.loss))(params, batch)
    noisy_value, noisy_gradient = quick_jit(jax.value_and_grad(noisy.loss))(params, batch)
    assert float(value) == float(noisy_value)
    difference = jax.tree.map(jnp.subtract, noisy_gradient, gradient)
    flat, _ = jax.flatten_util.ravel_pytree(difference)
    np.testing.assert_allclose(flat, 0.5 * batch, atol=1e-4)


# ---------------------------------------------------------------- regression


def test_features_by_hand():
    x = np.random.Generator(np.random.PCG64(0)).standard_normal((2, 3)).astype(np.float32)
    polynomial = regression._FEATURES["polynomial"](3)
    products = [x[:, i] * x[:, j] / np.sqrt(2) for i in range(3) for j in range(i, 3)]
    expected = np.concatenate([x, np.stack(products, axis=-1)], axis=-1)
    np.testing.assert_allclose(polynomial.of(jnp.asarray(x)), expected, rtol=1e-5)
    assert polynomial.number == expected.shape[-1]
    # Random features approximate a Gaussian kernel, of variance 1 / d in the frequencies.
    features = regression._fourier(3, 20_000)
    mapped = np.asarray(features.of(jnp.asarray(x)), np.float64)
    kernel = np.exp(-np.sum((x[0] - x[1]) ** 2) / (2 * 3))
    assert mapped[0] @ mapped[1] / features.number == pytest.approx(kernel, abs=0.03)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge", "one_hot_squared"])
def test_the_trivial_model_is_the_best_constant_one(loss):
    """A model without weights has the trivial loss, at the bias of the training frequencies."""
    task = LinearModel("wine", "linear", loss).build()
    dataset = data.labelled("wine")
    counts = np.bincount(dataset.train.labels, minlength=3) + 1
    p = counts / counts.sum()
    bias = {"cross_entropy": np.log(p), "squared_hinge": 2 * p - 1, "one_hot_squared": p}[loss]
    params = {"weights": jnp.zeros((13, 3)), "bias": jnp.asarray(bias, jnp.float32)}
    assert float(task.evaluate(params, "validation")) == pytest.approx(task.trivial_loss, rel=1e-5)


def test_the_penalty_and_the_scales_of_features():
    kinds = ({}, {"penalty": 0.1}, {"condition_number": 100.0})
    tasks = [LinearModel("wine", "linear", **kind).build() for kind in kinds]
    params, batch = drawn(tasks[0])
    origin = jax.tree.map(jnp.zeros_like, params)
    scores = quick_jit(lambda p: [(t.loss(p, batch), t.evaluate(p, "test")) for t in tasks])(params)
    square = np.sum(np.asarray(params["weights"], np.float64) ** 2)
    assert float(scores[1][0] - scores[0][0]) == pytest.approx(0.05 * square, rel=1e-2)
    assert scores[0][1] == scores[1][1]
    # At the origin the scores do not depend on scales, and a gradient is in proportion to its own.
    gradients = quick_jit(lambda p: [jax.grad(t.loss)(p, batch)["weights"] for t in tasks])(origin)
    ratio = np.asarray(gradients[2]) / np.asarray(gradients[0])
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-3)
    np.testing.assert_allclose(np.sort(ratio[:, 0]), np.geomspace(0.1, 1.0, 13), rtol=1e-3)


def test_a_loss_that_does_not_suit_the_labels_is_an_error():
    with pytest.raises(ValueError, match="3 classes"):
        LinearModel("wine", loss="squared").build()


def test_least_squares_gives_the_excess_risk_of_its_stream():
    config = LeastSquares(5, 2, condition_number=10.0, label_noise=0.3, batch_size=20_000)
    task = config.build()
    params, batch = drawn(task)
    evaluate = quick_jit(lambda p: task.evaluate(p, "test"))
    risk, batch_loss = evaluate(params), quick_jit(task.loss)(params, batch)
    assert float(batch_loss) == pytest.approx(float(risk) + 0.5 * 2 * 0.3**2, rel=0.03)
    _, weights, bias = (jnp.asarray(array, jnp.float32) for array in linear_truth(config))
    truth = {"weights": weights, "bias": bias}
    assert float(evaluate(truth)) == 0.0
    assert float(evaluate(jax.tree.map(jnp.zeros_like, truth))) == pytest.approx(1.0, rel=1e-5)
    covariance = np.cov(np.asarray(batch.inputs).T)
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(10.0, rel=0.1)


# ---------------------------------------------------------------- drifting


def test_the_tracker_does_not_pull_its_target():
    task = DriftingQuadratic(dimension=6, pace=0.25, jitter=0.5).build()
    params, batch = drawn(task)
    gradient = quick_jit(jax.grad(task.loss))
    moved = {**params, "tracker": params["tracker"] + 1.0}
    for name, other in (("target", moved), ("tracker", {**params, "tracker": params["target"]})):
        same = np.asarray(gradient(params, batch)[name]) == gradient(other, batch)[name]
        assert same.all() == (name == "target")
    on_minimum = {**params, "tracker": params["target"] + 0.5 * batch}
    np.testing.assert_allclose(gradient(on_minimum, batch)["tracker"], 0.0, atol=1e-6)
    value, score = quick_jit(lambda p: (task.loss(p, batch), task.evaluate(p, "test")))(params)
    assert float(value) == pytest.approx(float(score), rel=1e-6)


def test_gradient_descent_comes_to_rest_where_the_value_is_zero():
    task = DriftingQuadratic(dimension=4, condition_number=2.0, pace=0.2).build()
    params, batch = drawn(task)
    evaluate = quick_jit(lambda p: task.evaluate(p, "validation"))

    def descend(params, _):
        gradient = jax.grad(task.loss)(params, batch)
        return jax.tree.map(lambda w, g: w - 0.5 * g, params, gradient), None

    start = jax.tree.map(jnp.zeros_like, params)
    assert float(evaluate(start)) == pytest.approx(1.0, rel=1e-5)
    params, _ = quick_jit(lambda p: jax.lax.scan(descend, p, length=400))(params)
    assert float(evaluate(params)) < 1e-6


# ---------------------------------------------------------------- factorization


@pytest.mark.parametrize("observed", ["entries", "gaussian"])
def test_factorization_estimates_the_relative_error(observed):
    config = Factorization(6, 5, rank=2, width=3, observed=observed, measurements=20)
    task, matrix = config.build(), low_rank_matrix(config)
    params, _ = drawn(task)
    evaluate = quick_jit(lambda p: task.evaluate(p, "test"))
    residual = np.asarray(params["left"]) @ np.asarray(params["right"]).T - matrix
    expected = np.sum(residual**2) / np.sum(matrix**2)
    assert float(evaluate(params)) == pytest.approx(expected, rel=1e-4)
    keys = jax.random.split(jax.random.key(1), 2000)
    losses = quick_jit(jax.vmap(lambda key: task.loss(params, task.batch(key))))(keys)
    assert float(jnp.mean(losses)) == pytest.approx(expected, rel=0.05)
    left, singular, right = np.linalg.svd(matrix)
    assert singular[0] / singular[1] == pytest.approx(10.0)
    np.testing.assert_allclose(singular[2:], 0.0, atol=1e-12)
    factors = {
        "left": np.pad(left[:, :2] * singular[:2], ((0, 0), (0, 1))),
        "right": np.pad(right[:2].T, ((0, 0), (0, 1))),
    }
    optimum = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), factors)
    assert float(evaluate(optimum)) == pytest.approx(0.0, abs=1e-10)


def test_deep_linear_evaluates_the_expectation_of_its_loss():
    config = DeepLinear((4, 5, 3), rank=2, batch_size=50_000)
    task = config.build()
    params, batch = drawn(task)
    evaluate = quick_jit(lambda p: task.evaluate(p, "test"))
    loss = float(quick_jit(task.loss)(params, batch))
    assert loss == pytest.approx(float(evaluate(params)), rel=0.03)
    origin = jax.tree.map(jnp.zeros_like, params)
    assert float(evaluate(origin)) == pytest.approx(1.0, rel=1e-5)
    _, target = linear_teacher(config)
    left, singular, right = np.linalg.svd(target, full_matrices=False)
    layers = (np.pad(left * singular, ((0, 0), (0, 2))), np.pad(right, ((0, 2), (0, 0))))
    exact = {f"layer_{i}": jnp.asarray(w, jnp.float32) for i, w in enumerate(layers)}
    assert float(evaluate(exact)) == pytest.approx(0.0, abs=1e-10)


# ---------------------------------------------------------------- skip-gram


def test_words_are_the_commonest_of_the_training_text():
    ids = skip_gram.words("kjv", 50)
    counts = np.bincount(ids.train, minlength=50)
    assert (np.diff(counts) <= 0).all()
    assert all(part.max() < 50 and part.dtype == np.int32 for part in ids)
    text = bytes(data.king_james().vocabulary[i] for i in data.king_james().train).lower()
    counted = [
        len(re.findall(rb"(?<![a-z'])" + word + rb"(?![a-z'])", text)) for word in (b"the", b"and")
    ]
    np.testing.assert_allclose(counts[:2], counted, rtol=0.01)


def test_negatives_follow_frequencies_to_the_three_quarters():
    ids = skip_gram.words("kjv", 50).train
    expected = np.bincount(ids) ** 0.75
    drawn = np.bincount(skip_gram.negative_table(ids, 50), minlength=50)
    np.testing.assert_allclose(drawn / drawn.sum(), expected / expected.sum(), atol=1e-4)


def test_pairs_are_neighbours_and_never_the_word_itself():
    np.testing.assert_array_equal(skip_gram._offsets(np.arange(4), 2), [-2, -1, 1, 2])
    train = skip_gram.words("kjv", 100).train
    _, batch = drawn(SkipGram(vocabulary=100, window=1, batch_size=256).build())
    known = {*itertools.pairwise(train), *itertools.pairwise(train[::-1])}
    pairs = zip(np.asarray(batch.centers), np.asarray(batch.contexts), strict=True)
    assert all(pair in known for pair in pairs)


def test_skip_gram_by_hand_and_its_sparse_gradient():
    config = SkipGram(vocabulary=200, width=4, batch_size=8, shared=5)
    task = config.build()
    start, batch = drawn(task)
    initial = quick_jit(lambda p: task.evaluate(p, "validation"))(start)
    assert float(initial) == pytest.approx(task.trivial_loss, rel=1e-5)
    generator = np.random.Generator(np.random.PCG64(0))
    params = {
        name: jnp.asarray(generator.standard_normal(w.shape), jnp.float32)
        for name, w in start.items()
    }
    centers, contexts, negatives = (np.asarray(ids) for ids in batch)
    u, v, b = (np.asarray(params[name], np.float64) for name in ("input", "output", "bias"))
    log_sigmoid = scipy.special.log_expit
    positive = log_sigmoid(np.sum(u[centers] * v[contexts], axis=-1) + b[contexts])
    negative = log_sigmoid(-(u[centers] @ v[negatives].T + b[negatives]))
    expected = -positive.mean() - 5 * negative.mean()
    value, gradient = quick_jit(jax.value_and_grad(task.loss))(params, batch)
    assert float(value) == pytest.approx(expected, rel=1e-4)
    touched = {
        name: np.flatnonzero(np.asarray(gradient[name]).any(-1)) for name in ("input", "output")
    }
    assert set(touched["input"]) == set(centers)
    assert set(touched["output"]) == {*contexts, *negatives}


# ---------------------------------------------------------------- traced numbers


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (Landscape(), "noise"),
        (LinearModel("wine"), "penalty"),
        (LinearModel("wine"), "condition_number"),
        (LeastSquares(), "label_noise"),
        (DriftingQuadratic(), "pace"),
        (DeepLinear(), "gain"),
    ],
)
def test_numbers_may_be_traced(config, field):
    """What is built from a traced number has the gradient of what is built from the number."""
    traced = type("Traced", (type(config),), {"name": "traced", "__post_init__": lambda self: None})

    def gradient(value, kind):
        task = kind(**{**dataclasses.asdict(config), field: value}).build()
        params, batch = task.init(jax.random.key(0)), task.batch(jax.random.key(1))
        return jax.flatten_util.ravel_pytree(jax.grad(task.loss)(params, batch))[0]

    values = jnp.array([1.0, 1.5])
    together = quick_jit(jax.vmap(lambda value: gradient(value, traced)))(values)
    alone = quick_jit(lambda: gradient(1.0, type(config)))()
    np.testing.assert_allclose(together[0], alone, rtol=1e-4, atol=1e-6)
    assert not np.allclose(together[0], together[1])
