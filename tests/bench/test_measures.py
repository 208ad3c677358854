"""What is read off trials, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.bench import measures
from search.bench.results import Trials

STEPS = np.array([10, 20, 30, 40], np.int32)
NAN, INF = np.nan, np.inf


def trials(validation, *, training=None, test=None, rates=None):
    """Trials from validation losses (T, S, P); other losses are the same unless given."""
    validation = np.array(validation, np.float32)
    count, _, points = validation.shape
    return Trials(
        {"learning_rate": np.logspace(-3, 0, count) if rates is None else np.array(rates)},
        (10 * np.arange(1, points + 1)).astype(np.int32),
        validation if training is None else np.array(training, np.float32),
        validation,
        validation[..., -1] if test is None else np.array(test, np.float32),
    )


falling = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12).map(
    lambda x: np.sort(np.float32(x))[::-1]
)
strictly_falling = st.lists(st.integers(1, 1000), min_size=2, max_size=12, unique=True).map(
    lambda x: np.sort(np.float32(x))[::-1] / 1024
)


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("where", ["training", "validation", "test"])
def test_a_training_diverged_if_any_loss_is_not_finite(where, bad):
    found = trials(np.full((2, 3, 4), 0.5))
    getattr(found, where)[1, 2, ...] = 0.5
    losses = getattr(found, where)
    losses[(1, 2) if losses.ndim == 2 else (1, 2, 1)] = bad
    expected = np.zeros((2, 3), bool)
    expected[1, 2] = True
    np.testing.assert_array_equal(measures.diverged(found), expected)


def test_what_diverged_counts_with_the_trivial_loss_at_every_point():
    # Seed 0 is fine, seed 1 was good until it diverged, seed 2 is above the trivial loss.
    found = trials([[[0.5, 0.25], [0.125, NAN], [1.5, 8.0]]])
    np.testing.assert_array_equal(
        measures.counted(found.validation, measures.diverged(found), 2.0),
        [[[0.5, 0.25], [2, 2], [1.5, 2]]],
    )
    np.testing.assert_allclose(
        measures.validation_curves(found, 2.0), [[(0.5 + 2 + 1.5) / 3, (0.25 + 2 + 2) / 3]]
    )
    np.testing.assert_array_equal(measures.scores(found, 2.0), [[0.125, 1, 1]])


def test_a_lucky_end_does_not_hide_divergence():
    found = trials([[[0.5, 0.1]]], training=[[[NAN, 0.1]]])
    np.testing.assert_array_equal(measures.scores(found, 1.0), [[1.0]])


# ---------------------------------------------------------------- the best trial


def test_the_best_trial_ends_lowest_on_validation():
    ends = [[0.5, 0.7], [0.4, 0.6], [0.2, NAN], [0.3, 0.9]]
    found = trials([[[0.01, x] for x in seeds] for seeds in ends], test=np.zeros((4, 2)))
    assert measures.best_trial(found, 1.0) == 1  # 0.5; with its diverged seed, trial 2 has 0.6
    assert measures.best_trial(found, 0.75) == 2  # 0.475


def test_the_first_of_equal_trials_is_best():
    assert measures.best_trial(trials([[[9, 9]], [[5, 5]], [[NAN, 1]]]), 1.0) == 0
    sums = [[[0.1], [0.2], [0.3]], [[0.3], [0.2], [0.1]], [[0.2], [0.3], [0.1]]]
    assert measures.best_trial(trials(sums), 1.0) == 0
    assert measures.best_trial(trials(sums[::-1]), 1.0) == 0


# ---------------------------------------------------------------- steps and speed-ups


def test_running_minimum():
    found = measures.running_minimum(np.array([[3.0, 1, 2, 0.5], [1, 2, 3, 4]]))
    np.testing.assert_array_equal(found, [[3, 1, 1, 0.5], [1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("target", "expected"),
    [(9, 10), (1, 10), (0.9, 12.5), (0.6, 20), (0.55, 22.5), (0.4, 30), (0.2, 40), (0.1, INF)],
)
def test_steps_to(target, expected):
    assert measures.steps_to(STEPS, np.array([1, 0.6, 0.4, 0.2]), target) == pytest.approx(expected)


def test_steps_to_the_start_of_a_plateau_for_many_curves():
    curves = np.array([[1, 0.5, 0.5, 0.5], [0.5] * 4, [1, 1, 1, 0.75]])
    np.testing.assert_array_equal(measures.steps_to(STEPS, curves, 0.5), [20, 10, INF])


@given(falling, st.floats(0, 1))
def test_a_lower_target_takes_no_fewer_steps(curve, target):
    steps = 10 * np.arange(1, len(curve) + 1)
    assert measures.steps_to(steps, curve, target / 2) >= measures.steps_to(steps, curve, target)


def speedup(curve, reference):
    steps = [10 * np.arange(1, len(x) + 1) for x in (curve, reference)]
    return measures.speedup(steps[0], curve, steps[1], reference)


def test_speedup_by_hand():
    reference = np.array([1, 0.8, 0.6, 0.4])
    assert speedup(np.array([0.6, 0.2, 0.1, 0.1]), reference) == pytest.approx(40 / 15)
    assert speedup(np.array([1, 1, 0.9, 0.7]), reference) == pytest.approx(25 / 40)
    assert speedup(np.array([0.4, 0.4, 0.4, 0.4]), reference) == pytest.approx(4)
    # Stuck early is not fast: the reference has that loss after 30 of the 40 steps.
    assert speedup(np.array([0.6, 0.6, 0.6, 0.6]), reference) == pytest.approx(0.75)


@given(falling)
def test_the_reference_is_as_fast_as_itself(curve):
    assert speedup(curve, curve) == 1


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(*[st.tuples(*[st.integers(0, 9)] * n)] * 2)))
def test_speedup_is_symmetric_and_says_who_ends_lower(pair):
    a, b = (np.sort(np.float32(x))[::-1] for x in pair)
    found = speedup(a, b)
    assert found * speedup(b, a) == pytest.approx(1)
    if a[-1] != b[-1]:
        assert found >= 1 if a[-1] < b[-1] else found <= 1
    assert 1 / len(a) <= found <= len(a)


@given(strictly_falling, st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_k_times_faster_is_k(curve, k, goes_on, plateau):
    """The reference takes k points where the other takes one, and may have ended on a plateau."""
    reference = np.interp(np.arange(1, k * len(curve) + 1), k * np.arange(1, len(curve) + 1), curve)
    if goes_on:
        rest = curve[-1] / np.arange(2, len(reference) - len(curve) + 2)
    else:
        reference = np.append(reference, np.repeat(reference[-1], plateau * k))
        rest = np.repeat(curve[-1], len(reference) - len(curve))
    fast = np.append(curve, rest)
    assert speedup(fast, reference) == pytest.approx(k)
    assert speedup(reference, fast) == pytest.approx(1 / k)


# ---------------------------------------------------------------- VeLO's speed-up


def test_smoothing_averages_over_a_window_of_steps():
    steps = np.arange(1, 41)  # the window is two steps
    losses = np.random.default_rng(0).random((3, 40))
    found = measures.smoothed(steps, losses)
    np.testing.assert_allclose(found[:, 0], losses[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1:], (losses[:, 1:] + losses[:, :-1]) / 2, rtol=1e-6)
    # Points after 10, 20, 20.5 and 40 steps: only the third has less than a window for itself.
    found = measures.smoothed(np.array([10, 20, 20.5, 40]), np.array([4.0, 3, 2, 1]))
    np.testing.assert_allclose(found, [4, 3, 2.75, 1])
    np.testing.assert_allclose(measures.smoothed(STEPS, losses[:, :4]), losses[:, :4], rtol=1e-6)


@given(st.floats(1e-3, 1e3), st.integers(1, 60))
def test_smoothing_keeps_a_constant_exactly(value, points):
    found = measures.smoothed(np.arange(1, points + 1), np.full(points, value))
    np.testing.assert_array_equal(found, np.float32(value))


def test_velo_speedup_by_hand():
    short = STEPS, np.array([[1, 0.8, 0.6, 0.5], [0.9, 0.7, 0.7, 0.7]])
    long = np.array([40, 80]), np.array([[0.9, 0.3]])
    assert measures.velo_speedup(0.7, 40, [short]) == (0.5, False)  # the second trial, at 20
    assert measures.velo_speedup(0.5, 40, [short]) == (1, False)
    assert measures.velo_speedup(0.3, 40, [short, long]) == (2, False)
    assert measures.velo_speedup(0.2, 40, [short, long]) == (2, True)
    assert measures.velo_speedup(0.2, 40, [short]) == (1, True)
    assert measures.velo_speedup(5.0, 40, [short]) == (0.25, False)


@given(st.integers(0, 100))
def test_velo_speedup_of_the_reference_is_at_most_1(seed):
    losses = np.random.default_rng(seed).random((3, 2, 25))
    curves = measures.training_curves(trials(losses), 0.9)
    steps = np.arange(10, 260, 10)
    envelope = [(steps, measures.running_minimum(curves))]
    for final in curves[:, -1].tolist():
        found, at_least = measures.velo_speedup(final, 250, envelope)
        assert 0 < found <= 1
        assert not at_least
    alone = [(steps, np.sort(curves[:1])[:, ::-1])]
    assert measures.velo_speedup(float(curves[0].min()), 250, alone) == (1, False)


# ---------------------------------------------------------------- learning rates


@pytest.mark.parametrize(
    ("rates", "scores", "expected"),
    [
        ([1e-3], [0.5], np.nan),  # nothing follows from one rate
        ([1e-3, 1e-2, 1e-1], [0.5, 0.5, 0.54], 2),
        ([1e-3, 1e-2, 1e-1], [1, 0.5, 1], 0.2),  # a tenth of a decade on each side
        ([1e-1, 1e-3, 1e-2], [1, 1, 0.5], 0.2),  # in any order
        ([1e-2, 1e-1, 1e-2], [0.9, 0.6, 0.5], 0.5),  # the best of those with rate 0.01
        ([1e-3, 1e-2, 1e-1, 1], [0.5, 1, 0.5, 0.5], 1.2),  # also when it is in two pieces
        ([1e-2, 1e-2], [0.5, 0.6], np.nan),
        ([1e-3, 1e-2, 1e-1], [1, 1, 1], np.nan),  # what never works forgives nothing
    ],
)
def test_tolerance(rates, scores, expected):
    found = measures.tolerance(np.array(rates), np.array(scores))
    assert found == pytest.approx(expected, nan_ok=True)


@given(
    st.lists(st.tuples(st.integers(-9, 0), st.floats(0, 0.99)), min_size=2, max_size=12).filter(
        lambda points: len({exponent for exponent, _ in points}) > 1
    )
)
def test_tolerance_is_no_more_than_what_was_tried(points):
    exponents, scores = (np.array(x, float) for x in zip(*points, strict=True))
    found = measures.tolerance(10**exponents, scores)
    assert -1e-9 <= found <= np.ptp(exponents) + 1e-9


def test_edges():
    rates = np.array([0.1, 0.001, 0.01, 0.1])
    assert [measures.at_edge(rates, i) for i in range(4)] == [True, True, False, True]
    assert not measures.at_edge(np.array([0.1]), 0)
    assert not measures.at_edge(np.array([0.1, 0.1]), 1)
