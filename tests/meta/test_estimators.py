"""Estimates of a meta-gradient that is known: SGD on a noisy quadratic, whose second moments are.

With learned logarithms of the two rates r and a learned start, w <- w - r (a w + noise), the loss
is 0.5 sum(a m) on average, and m, the mean of w^2, follows m <- (1 - r a)^2 m + (r deviation)^2.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_checks.trajectories import quick_jit

from search.meta.config import EstimatorConfig
from search.meta.estimators import Lengths, estimator
from search.meta.inner import Inner

CURVATURE = jnp.array([1.0, 0.5])
THETA = {"log_rates": jnp.log(jnp.array([0.2, 0.2])), "start": jnp.float32(0.0)}
NOISE, SPREAD, WORST = 0.3, 0.2, 7.0
LENGTH, TRUNCATION, DEVIATION = 8, 2, 0.01
REPLICATES, PARTICLES = 200, 64
KEY = jax.random.key(0)
BETWEEN = Lengths(jnp.float32(9), jnp.float32(23))

UNBIASED = ("pes", "es_single", "full_es")
UNDER_WAY = ("pes", "truncated_es", "es_single", "backprop")
METHODS = ("full_es", *UNDER_WAY)


def quadratic(noise=NOISE, spread=SPREAD, breaks=1000, factor=1.0):
    """The inner problem: losses are multiplied, and NaN from the step `breaks` on."""

    def loss(w, count):
        return jnp.where(count < breaks, 0.5 * factor * jnp.sum(CURVATURE * w * w), jnp.nan)

    def begin(theta, key, length):
        del length
        return 1 + 0.2 * theta["start"] + spread * jax.random.normal(key, (2,)), jnp.int32(0)

    def step(theta, state, key):
        w, count = state
        gradient = CURVATURE * w + noise * jax.random.normal(key, (2,))
        return (w - jnp.exp(theta["log_rates"]) * gradient, count + 1), loss(w, count)

    def final(theta, state, key):
        del theta, key
        return loss(*state)

    return Inner(begin, step, final, WORST)


def exact(theta, truncation=LENGTH, noise=NOISE, spread=SPREAD):
    """The mean losses at all steps and at the end; what precedes a truncation is not seen in it."""
    rates = jnp.exp(theta["log_rates"])
    m, losses = jnp.broadcast_to((1 + 0.2 * theta["start"]) ** 2 + spread**2, (2,)), []
    for k in range(LENGTH + 1):
        losses.append(0.5 * jnp.sum(CURVATURE * m))
        m = (1 - rates * CURVATURE) ** 2 * m + (rates * noise) ** 2
        if (k + 1) % truncation == 0 and k + 1 < LENGTH:
            m = jax.lax.stop_gradient(m)
    return jnp.stack(losses)


def gradient(truncation=LENGTH, of=lambda losses: jnp.mean(losses[:-1]), **problem):
    """The derivative of something of these losses, float64 (3,)."""
    return flat(jax.grad(lambda theta: of(exact(theta, truncation, **problem)))(THETA))


def flat(tree):
    """Leaves (..., n) or (...) of a gradient as float64 (..., 3)."""
    return np.concatenate(
        [np.asarray(tree["log_rates"], float), np.asarray(tree["start"], float)[..., None]], axis=-1
    )


def config(method, truncation=TRUNCATION, **more):
    return EstimatorConfig(method, DEVIATION, truncation, **more)


def fixed(length=LENGTH):
    return Lengths(jnp.float32(length), jnp.float32(length))


@cache
def _replicated(config, calls, skipped, particles):
    made = estimator(config, quadratic(), particles)

    @quick_jit
    def run(keys, length):
        def mean(key):
            def call(carry, k):
                found = made.estimate(
                    THETA, carry, jax.random.fold_in(key, k), Lengths(length, length)
                )
                return found.carry, found.gradient

            carry = made.start(THETA, jax.random.fold_in(key, calls + skipped))
            _, gradients = jax.lax.scan(call, carry, jnp.arange(skipped + calls))
            return jax.tree.map(lambda g: jnp.mean(g[skipped:], axis=0), gradients)

        return jax.vmap(mean)(keys)

    return run


@cache
def estimates(config, calls, skipped=0, particles=PARTICLES, length=LENGTH):
    """Means of the gradients of consecutive calls, for independent replicates: (replicates, 3).

    Once all first trainings, which are cut short at random, are over, each particle is equally
    likely to be anywhere in a training, and in as many calls as there are truncations it is in
    each of them once.
    """
    keys = jax.random.split(KEY, REPLICATES)
    return flat(_replicated(config, calls, skipped, particles)(keys, jnp.float32(length)))


def unrolled(method, truncation=TRUNCATION, **more):
    """The estimates of whole trainings."""
    count = LENGTH // truncation
    return estimates(config(method, truncation), count, skipped=count, **more)


def standard_scores(found, expected):
    """How many standard errors the mean is away, and the errors over the gradient's length."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    return (found.mean(axis=0) - expected) / error, error / np.linalg.norm(expected)


# ---------------------------------------------------------------- what they estimate


@pytest.mark.parametrize("method", UNBIASED)
def test_these_are_unbiased(method):
    scores, errors = standard_scores(unrolled(method), gradient())
    assert errors.max() < 0.03
    assert np.abs(scores).max() < 3.5


@pytest.mark.parametrize("method", ["truncated_es", "backprop"])
def test_truncated_ones_see_nothing_but_their_truncation(method):
    found = unrolled(method)
    scores, errors = standard_scores(found, gradient(truncation=TRUNCATION))
    assert errors.max() < 0.03
    assert np.abs(scores).max() < 3.5
    scores, _ = standard_scores(found, gradient())
    assert np.abs(scores).min() > 10
    assert (np.abs(found.mean(axis=0)) < 0.7 * np.abs(gradient())).all()


def test_whole_trainings_can_be_judged_by_their_end():
    found = estimates(config("full_es", loss="end"), 4)
    scores, errors = standard_scores(found, gradient(of=lambda losses: losses[-1]))
    assert errors.max() < 0.03
    assert np.abs(scores).max() < 3.5


@cache
def program(config, particles):
    """`estimate`, which is told the problem as well."""

    def run(theta, carry, key, lengths, problem):
        return estimator(config, quadratic(**problem), particles).estimate(
            theta, carry, key, lengths
        )

    return quick_jit(run)


def called(config, particles=3, calls=1, theta=THETA, lengths=None, **problem):
    """The estimates of consecutive calls; nothing is random in the problem unless asked for."""
    problem = {"noise": 0.0, "spread": 0.0, "breaks": 1000, "factor": 1.0} | problem
    carry, found = estimator(config, quadratic(), particles).start(theta, KEY), []
    for k in range(calls):
        found.append(
            program(config, particles)(theta, carry, jax.random.key(k), lengths or fixed(), problem)
        )
        carry = found[-1].carry
    return found


def test_backpropagation_through_whole_trainings_is_exact():
    for found in called(config("backprop", LENGTH), calls=2):
        np.testing.assert_allclose(
            flat(found.gradient), gradient(noise=0.0, spread=0.0), rtol=1e-5, atol=1e-7
        )


def test_backpropagation_through_truncations_is_their_sum():
    count = LENGTH // TRUNCATION
    found = called(config("backprop"), calls=2 * count)[count:]
    np.testing.assert_allclose(
        np.mean([flat(each.gradient) for each in found], axis=0),
        gradient(TRUNCATION, noise=0.0, spread=0.0),
        rtol=1e-5,
    )


@pytest.mark.parametrize("method", ["pes", "es_single", "truncated_es"])
def test_a_training_of_one_truncation_is_a_whole_training(method):
    ours = called(config(method, LENGTH), calls=3)
    whole = called(config("full_es", LENGTH), calls=3)
    for a, b in zip(ours, whole, strict=True):
        assert np.abs(flat(b.gradient)).min() > 0.01
        np.testing.assert_allclose(flat(a.gradient), flat(b.gradient), rtol=1e-3)
        np.testing.assert_allclose(a.metrics.loss, b.metrics.loss, rtol=1e-5)
        assert a.metrics.steps == b.metrics.steps == 2 * 3 * LENGTH


def test_the_lowest_loss_of_a_training_that_falls_is_its_last():
    (found,) = called(config("full_es", loss="lowest"), particles=4000)
    expected = gradient(of=lambda losses: losses[-2], noise=0.0, spread=0.0)
    losses = exact(THETA, noise=0.0, spread=0.0)
    assert (jnp.diff(losses) < 0).all()
    np.testing.assert_allclose(found.metrics.loss, losses[-2], rtol=1e-3)
    np.testing.assert_allclose(flat(found.gradient), expected, rtol=0.15)


# ---------------------------------------------------------------- how well


def test_the_longer_a_training_the_more_variance_has_pes():
    """Of one estimate, anywhere in a training: its sum of perturbations grows with the training.

    Over the variance of ES with a single perturbation this is 1, 1.3, 1.3 and 2 for 1, 4, 16 and
    64 truncations; truncated ES has less than either.
    """

    def variance(method, count):
        found = estimates(config(method), 1, 64, particles=32, length=TRUNCATION * count)
        return found.var(axis=0).sum()

    assert variance("pes", 1) == pytest.approx(variance("es_single", 1), rel=1e-3)
    assert variance("pes", 64) > 1.5 * variance("es_single", 64)
    assert variance("es_single", 64) > 1.5 * variance("truncated_es", 64)


def test_more_particles_are_less_variance():
    few, many = (
        unrolled("pes", particles=count).var(axis=0) for count in (PARTICLES // 8, PARTICLES)
    )
    assert (few / many > 4).all()
    assert (few / many < 16).all()


# ---------------------------------------------------------------- losses that are no numbers


@pytest.mark.parametrize("method", METHODS)
def test_losses_that_are_no_numbers_are_counted(method):
    (found,) = called(config(method, LENGTH), breaks=6)
    assert found.metrics.broken == pytest.approx(0.25)
    assert np.isfinite(flat(found.gradient)).all()
    losses = exact(THETA, noise=0.0, spread=0.0)[:6].sum() + 2 * WORST
    assert found.metrics.loss == pytest.approx(float(losses / LENGTH), rel=1e-2)
    (whole,) = called(config(method, LENGTH))
    assert whole.metrics.broken == 0


def test_a_training_that_counts_by_its_end_is_broken_by_its_end():
    (found,) = called(config("full_es", LENGTH, loss="end"), breaks=6)
    assert found.metrics.broken == 1.0


def test_backpropagation_goes_on_without_the_trainings_that_break():
    whole = quadratic()

    def step(theta, state, key):
        broken = state[0][0] > 1.0
        state, loss = whole.step(theta, state, key)
        return state, loss * jnp.where(broken, jnp.nan, 1.0)

    found = estimator(config("backprop", LENGTH), whole._replace(step=step), 16)
    estimate = quick_jit(found.estimate)(THETA, found.start(THETA, KEY), KEY, fixed())
    assert 0 < estimate.metrics.broken < 1
    one = flat(estimate.gradient)
    # Of trainings that began lower, so it is not the same.
    np.testing.assert_allclose(one, gradient(), rtol=0.8)


def test_an_end_that_is_no_number_counts_as_the_worst():
    (found,) = called(config("full_es", LENGTH, loss="end"), breaks=LENGTH)
    assert found.metrics.loss == WORST
    assert not flat(found.gradient).any()


def test_trainings_that_overflow():
    theta = THETA | {"log_rates": jnp.array([30.0, -30.0])}
    for method in METHODS:
        (found,) = called(config(method, LENGTH), theta=theta, noise=NOISE)
        assert 0 < found.metrics.broken <= 1, method
        assert np.isfinite(flat(found.gradient)).all()
        assert np.isfinite(found.metrics.loss)


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize("method", UNDER_WAY)
def test_lengths_are_multiples_of_the_truncation(method):
    before, ended, seen = np.zeros(16, int), 0, []
    for found in called(config(method, truncation=4), particles=16, calls=12, lengths=BETWEEN):
        done, length = np.asarray(found.carry.done), np.asarray(found.carry.length)
        over = before == 0
        np.testing.assert_array_equal(done, np.where(over, 4, before + 4))
        assert (done <= length).all()
        assert not (length % 4).any()
        assert length.max() <= 24
        seen.append(length)
        before = np.where(done >= length, 0, done)
        ended += int(found.metrics.ended)
        assert found.metrics.ended == (done >= length).sum()
    # First trainings are cut short at random, so that particles do not stay together.
    assert seen[0].min() == 4
    assert set(np.concatenate(seen[6:])) == {8, 12, 16, 20, 24}
    assert ended > 16


def test_whole_trainings_have_lengths_within_bounds():
    found = called(config("full_es", truncation=4), calls=30, lengths=BETWEEN)
    assert {float(each.metrics.steps) / 6 for each in found} == {8, 12, 16, 20, 24}


# ---------------------------------------------------------------- transformed differences


@pytest.mark.parametrize("method", ["pes", "full_es"])
def test_signs_and_units_do_not_depend_on_the_scale_of_losses(method):
    def run(delta, factor):
        (found,) = called(config(method, delta=delta), noise=NOISE, factor=factor)
        return flat(found.gradient), float(found.metrics.delta)

    (plain, size), (more, _) = run("plain", 1.0), run("plain", 1024.0)
    np.testing.assert_allclose(more, 1024 * plain, rtol=1e-5)
    for delta in ("sign", "unit"):
        small, large = run(delta, 1.0), run(delta, 1024.0)
        np.testing.assert_allclose(small[0], large[0], rtol=1e-5)
        assert large[1] == pytest.approx(1024 * small[1])  # what is reported is what was measured
    np.testing.assert_allclose(run("unit", 1.0)[0], plain / size, rtol=1e-4)


def test_of_one_pair_the_sign_is_left():
    plain, sign = (
        called(config("full_es", delta=delta), particles=1)[0] for delta in ("plain", "sign")
    )
    np.testing.assert_allclose(
        flat(sign.gradient), flat(plain.gradient) / float(plain.metrics.delta), rtol=1e-4
    )
