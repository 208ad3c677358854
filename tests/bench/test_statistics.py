"""Statistics: by hand, by their properties, and by how often they are right."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.bench import statistics

small = st.lists(st.integers(-3, 3), min_size=1, max_size=8).map(np.array)


# ---------------------------------------------------------------- ranks


def test_ranks_by_hand():
    found = statistics.ranks(np.array([[0.3, 0.1, 0.2], [0.1, 0.1, 0.2], [1, 1, 1]]))
    np.testing.assert_array_equal(found, [[3, 1, 2], [1.5, 1.5, 3], [2, 2, 2]])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_ranks_see_order_alone(values):
    scores = np.array([values], float)
    found = statistics.ranks(scores)
    np.testing.assert_array_equal(statistics.ranks(np.exp(scores) - 3), found)
    assert found.sum() == len(values) * (len(values) + 1) / 2


def test_geometric_mean():
    assert statistics.geometric_mean(np.array([0.5, 2, 8])) == pytest.approx(2)


# ---------------------------------------------------------------- bootstrap


def test_bootstrap_is_deterministic_and_indifferent_to_blocks(monkeypatch):
    scores = np.random.default_rng(0).random((7, 3, 2))

    def run(seed=0):
        return statistics.bootstrap(scores, lambda x: x.mean(axis=1), samples=50, seed=seed)

    found = run()
    assert found.shape == (50, 3)
    np.testing.assert_array_equal(run(), found)
    assert not np.array_equal(run(seed=1), found)
    monkeypatch.setattr(statistics, "_BLOCK", 3 * scores.size)
    assert run().shape == (50, 3)


def test_seeds_are_resampled_together():
    """An optimizer that is worse by 1 with every seed is so in every sample."""
    one = np.random.default_rng(0).random((9, 4))
    samples = statistics.bootstrap(np.stack([one, one + 1], axis=1), lambda x: x, samples=99)
    np.testing.assert_allclose(samples[..., 1] - samples[..., 0], 1)


def test_the_bootstrap_resamples_tasks_and_seeds():
    """Its variance is that of the formula for both levels."""
    scores = np.random.default_rng(1).normal(size=(12, 1, 3))
    samples = statistics.bootstrap(scores, lambda x: x.mean(axis=1))
    within = scores.var(axis=2).mean() / 3
    between = scores.mean(axis=2).var()
    assert samples.var() == pytest.approx((within + between) / 12, rel=0.05)
    assert samples.mean() == pytest.approx(scores.mean(), abs=0.01)


def test_many_samples_take_little_time():
    scores = np.random.default_rng(0).random((45, 6, 3))
    start = time.process_time()
    found = statistics.bootstrap(scores, lambda x: statistics.ranks(x).mean(axis=1))
    assert found.shape == (10_000, 6)
    assert time.process_time() - start < 5  # it takes 0.3 s where nothing else runs


def test_an_interval_includes_its_estimate():
    found = statistics.interval(5.0, np.linspace(0, 1, 101), 1000)
    assert found == pytest.approx((5, 0.025, 5), abs=1e-3)
    assert statistics.interval(1.0, np.ones(9), 3) == (1, 1, 1)


def test_a_single_task_has_no_interval():
    value, low, high = statistics.interval(0.5, np.array([0.4, 0.5, 0.6]), 1)
    assert value == 0.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(("tasks", "repeats"), [(6, 600), (40, 250)])
def test_intervals_cover_the_truth(tasks, repeats):
    """95 % intervals of mean, mean rank and difference, of skewed scores with noise from seeds."""
    generator = np.random.default_rng(0)
    effects = np.array([0, 0.05, 0.1])[None, :, None]

    def draw(count):
        task = generator.gamma(2, 0.1, (count, 1, 1)) + generator.normal(0, 0.1, (count, 3, 1))
        return effects + task + generator.normal(0, 0.05, (count, 3, 3))

    def statistic(means):
        mean, rank = (x.mean(axis=1) for x in (means, statistics.ranks(means)))
        return np.concatenate([mean, rank, mean[:, 1:] - mean[:, :1]], axis=1)

    truth = statistic(draw(200_000).mean(axis=2)[None])[0]
    hits = np.zeros(len(truth))
    for i in range(repeats):
        scores = draw(tasks)
        values = statistic(scores.mean(axis=2)[None])[0]
        samples = statistics.bootstrap(scores, statistic, samples=400, seed=i)
        found = [statistics.interval(v, x, tasks) for v, x in zip(values, samples.T, strict=True)]
        hits += [low <= true <= high for (_, low, high), true in zip(found, truth, strict=True)]
    # No less than 93 %, within three standard deviations of a binomial: few tasks cost something.
    assert (hits / repeats > 0.93 - 3 * np.sqrt(0.93 * 0.07 / repeats)).all(), hits / repeats
    assert hits.mean() / repeats < 0.99


# ---------------------------------------------------------------- the paired test


@given(small)
def test_p_is_that_of_all_signs(differences):
    """Against the definition: every assignment of signs to the magnitudes."""
    ranks = stats.rankdata(np.abs(differences)) * np.sign(np.abs(differences))
    sums = [np.dot(signs, ranks) for signs in product([-1, 1], repeat=len(ranks))]
    observed = abs(np.dot(np.sign(differences), ranks))
    expected = np.mean(np.abs(sums) >= observed)
    assert statistics.signed_rank_test(differences) == pytest.approx(expected)


@given(st.integers(1, 60), st.integers(0, 999))
def test_p_is_that_of_scipy_without_ties(count, seed):
    differences = np.random.default_rng(seed).normal(0.2, 1, count)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert statistics.signed_rank_test(differences) == pytest.approx(expected)


@given(small)
def test_p_is_symmetric_and_sees_no_scale(differences):
    found = statistics.signed_rank_test(differences)
    assert 0 < found <= 1
    assert statistics.signed_rank_test(-differences) == found
    assert statistics.signed_rank_test(differences / 1024) == found


def test_p_at_the_ends():
    assert statistics.signed_rank_test(np.zeros(9)) == 1
    assert statistics.signed_rank_test(np.array([0.3])) == 1
    assert statistics.signed_rank_test(np.arange(1, 11)) == 2 / 2**10
    assert statistics.signed_rank_test(np.array([0, 0, 1, 2, 3])) == 2 / 2**3
    assert 0 < statistics.signed_rank_test(np.arange(1, 501)) < 1e-80


@pytest.mark.parametrize("tasks", [5, 10, 45])
def test_an_optimizer_is_not_better_than_itself(tasks):
    """Other seeds, tasks of very different scales, skewed noise, ties at the trivial loss."""
    generator = np.random.default_rng(tasks)
    repeats = 1500
    scale = 10 ** generator.uniform(-4, 0, (repeats, tasks, 1, 1))
    scores = 0.3 + scale * generator.exponential(1, (repeats, tasks, 2, 3))
    scores = np.where(generator.random(scores.shape) < 0.1, 1, np.minimum(scores, 1)).mean(axis=3)
    p = np.array([statistics.signed_rank_test(x[:, 0] - x[:, 1]) for x in scores])
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)
    if tasks == 45:
        assert (p <= 0.05).mean() > 0.03  # no more timid than it has to be


def test_a_difference_on_most_tasks_is_seen_beside_one_loud_task():
    generator = np.random.default_rng(0)
    differences = generator.normal(0.01, 0.01, (200, 45))
    differences[:, 0] = generator.normal(0, 1, 200)
    found = [statistics.signed_rank_test(x) for x in differences]
    assert np.mean(np.array(found) <= 0.05) > 0.95


# ---------------------------------------------------------------- Holm


def test_holm_by_hand():
    found = statistics.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_array_equal(statistics.holm(np.array([0.5, 0.9])), [1, 1])
    assert statistics.holm(np.array([])).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_keeps_order_and_lies_between_none_and_bonferroni(p):
    p = np.array(p)
    found = statistics.holm(p)
    assert (found >= p).all()
    assert (found <= np.minimum(1, len(p) * p)).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


# ---------------------------------------------------------------- profiles


def test_a_profile_by_hand():
    times = np.array([[10, 20], [30, 10], [np.inf, 5], [np.inf, np.inf]])
    factors, fractions = statistics.performance_profile(times)
    np.testing.assert_array_equal(factors, [1, 2, 3])
    np.testing.assert_array_equal(fractions, [[0.25, 0.25, 0.5], [0.5, 0.75, 0.75]])


def test_a_profile_of_nothing_solved():
    factors, fractions = statistics.performance_profile(np.full((3, 2), np.inf))
    np.testing.assert_array_equal(factors, [1])
    np.testing.assert_array_equal(fractions, [[0], [0]])


@given(
    st.lists(
        st.lists(st.floats(1, 1e4) | st.just(np.inf), min_size=3, max_size=3),
        min_size=1,
        max_size=9,
    ).map(np.array)
)
def test_profiles_rise_from_wins_to_what_was_solved(times):
    factors, fractions = statistics.performance_profile(times)
    assert factors[0] == 1
    assert (np.diff(factors) > 0).all()
    assert fractions.shape == (3, len(factors))
    assert (np.diff(fractions) >= 0).all()
    assert ((fractions >= 0) & (fractions <= 1)).all()
    solved = np.isfinite(times)
    np.testing.assert_allclose(fractions[:, -1], solved.mean(axis=0))
    assert fractions[:, 0].sum() >= solved.any(axis=1).mean() - 1e-12
    slower = statistics.performance_profile(times * 2)[1]
    np.testing.assert_array_equal(slower, fractions)
