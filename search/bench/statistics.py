"""Statistics over tasks and seeds: intervals, tests, ranks and profiles.

Scores are float64 (N, M, S): N tasks, M optimizers, S seeds; less is better. Seeds are common
random numbers: seed s gives every optimizer the same initial parameters and batches.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from search.bench.results import Interval

SAMPLES = 10_000
"""Bootstrap samples."""

_BLOCK = 2_000_000
"""Numbers that are resampled at once: bounds the memory."""


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, from 1 for the lowest; those that tie share their mean."""
    return stats.rankdata(scores, axis=-1)


def geometric_mean(values: np.ndarray) -> float:
    """The exponential of the mean logarithm."""
    return float(np.exp(np.log(values).mean()))


# ---------------------------------------------------------------- intervals


def bootstrap(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Statistics of resampled benchmarks.

    A sample draws N tasks with replacement, and for each task drawn S seeds with replacement, the
    same for all optimizers.

    Args:
      scores: (N, M, S).
      statistic: from seed means (B, N, M) of B samples to (B, ...).
      samples: how many.
      seed: of the draws.

    Returns:
      (samples, ...).
    """
    return np.concatenate([statistic(means) for means in _resampled(scores, samples, seed)])


def _resampled(scores: np.ndarray, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Seed means of resampled benchmarks, (B, N, M), block by block."""
    generator = np.random.Generator(np.random.PCG64(seed))
    count, _, seeds = scores.shape
    table = np.ascontiguousarray(scores.swapaxes(1, 2))
    block = max(1, _BLOCK // scores.size)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        tasks = (generator.random((size, count)) * count).astype(int)
        drawn = (generator.random((size, count, seeds)) * seeds).astype(int)
        yield sum(table[tasks, drawn[..., s]] for s in range(seeds)) / seeds


def interval(value: float, samples: np.ndarray, tasks: int, level: float = 0.95) -> Interval:
    """An estimate with its expanded percentile interval, which includes the estimate.

    Percentiles of the bootstrap are too narrow for few tasks: the sample's variance is (N - 1) / N
    of the population's, and tails are the normal distribution's. Hence the percentiles are those
    that give a mean of N normal numbers its t-interval,

        Phi(-sqrt(N / (N - 1)) * t_{N-1}),    t_{N-1} the quantile of Student's distribution.

    Seeds are resampled as well, though the spread between tasks contains the spread between seeds
    already: intervals err on the wide side where seeds differ more than tasks do. The resampled
    ranks of optimizers that are close lie nearer to each other than the estimates do, which is why
    the estimate has to be included explicitly. Of a single task nothing follows for others: there
    is no interval, and its ends are NaN.

    Args:
      value: the estimate.
      samples: (B,), from `bootstrap`.
      tasks: N.
      level: of confidence.

    Reference: Hesterberg, "What teachers should know about the bootstrap", 2014 (arXiv 1411.5279).
    """
    if tasks == 1:
        return Interval(float(value), np.nan, np.nan)
    quantile = stats.t.ppf((1 + level) / 2, tasks - 1)
    tail = float(stats.norm.cdf(-np.sqrt(tasks / (tasks - 1)) * quantile))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


# ---------------------------------------------------------------- tests


def signed_rank_test(differences: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, exact for any number of tasks and ties.

    The statistic is the sum of the ranks of |difference| over the positive ones. Given the
    magnitudes, each sign is equally likely under the null hypothesis, whatever ties there are: the
    distribution is that of a sum of coin flips, computed by convolution. Differences of 0 take part
    in the ranking and have no sign (Pratt, 1959).

    A test on the mean difference would be as valid, but a few tasks on which losses differ by far
    more than on others would decide it; ranks let every task speak.

    Args:
      differences: (N,), one a task.

    Reference: Wilcoxon, "Individual comparisons by ranking methods", 1945; Demsar, "Statistical
      comparisons of classifiers over multiple data sets", 2006.
    """
    # Doubled, ranks that are shared are whole numbers too.
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)
    statistic = doubled[differences > 0].sum()
    used = doubled[differences != 0]
    chances = np.zeros(used.sum() + 1)
    chances[0] = 1.0
    for rank in used:
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    extreme = np.abs(2 * np.arange(len(chances)) - used.sum()) >= abs(2 * statistic - used.sum())
    return float(min(1.0, chances[extreme].sum()))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's correction of p-values (K,) for K claims made at once, in their order.

    Reference: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


# ---------------------------------------------------------------- profiles


def performance_profile(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of tasks that are solved within a factor of the fastest.

    Args:
      times: (N, M), positive; infinite where an optimizer did not solve a task.

    Returns:
      Factors (K,), ascending from 1, at which any fraction rises; fractions (M, K), which stay what
      they are between them. A task that nobody solves counts for nobody.

    Reference: Dolan and More, "Benchmarking optimization software with performance profiles", 2002
      (arXiv cs/0102001).
    """
    fastest = np.broadcast_to(times.min(axis=1, keepdims=True), times.shape)
    ratios = np.divide(times, fastest, out=np.full(times.shape, np.inf), where=np.isfinite(times))
    factors = np.unique([1.0, *ratios[np.isfinite(ratios)]])
    return factors, (ratios[:, :, None] <= factors).mean(axis=0)
