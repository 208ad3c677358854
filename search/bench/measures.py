"""What is read off the trials of one optimizer on one task.

A training diverged if any loss that was recorded of it is NaN or infinite. It is never left out:
wherever trainings are compared, a training that diverged counts with the trivial predictor's loss,
at every point, and so does any loss above that one (`counted`). Hence all curves here are finite.
Means over seeds are rounded to float32, the precision of measured losses: the order of a sum breaks
no tie.
"""

from collections.abc import Sequence

import numpy as np

from search.bench.results import Trials

NEAR = 0.05
"""How far the score may be from the best for a learning rate to count as tolerated."""

WINDOW = 0.05
"""Part of a training over which its training loss is averaged for the VeLO speed-up."""


def diverged(trials: Trials) -> np.ndarray:
    """Which trainings have a recorded loss that is NaN or infinite: bool (T, S)."""
    curves = np.isfinite(trials.training) & np.isfinite(trials.validation)
    return ~(curves.all(axis=-1) & np.isfinite(trials.test))


def counted(losses: np.ndarray, failed: np.ndarray, trivial_loss: float) -> np.ndarray:
    """Losses as they count in comparisons.

    Args:
      losses: (T, S) or (T, S, P).
      failed: bool (T, S), which trainings diverged.
      trivial_loss: what a training that diverged counts with, and the most that any counts with.

    Returns:
      float64, the shape of `losses`, finite.
    """
    failed = failed.reshape(failed.shape + (1,) * (losses.ndim - failed.ndim))
    return np.where(failed, trivial_loss, np.fmin(losses, trivial_loss, dtype=np.float64))


def validation_curves(trials: Trials, trivial_loss: float) -> np.ndarray:
    """Mean over seeds of the counted validation losses: float32 (T, P)."""
    losses = counted(trials.validation, diverged(trials), trivial_loss)
    return losses.mean(axis=1).astype(np.float32)


def best_trial(trials: Trials, trivial_loss: float) -> int:
    """Index of the trial whose validation curve ends lowest; the first of those that tie."""
    return int(validation_curves(trials, trivial_loss)[:, -1].argmin())


def scores(trials: Trials, trivial_loss: float) -> np.ndarray:
    """Counted test losses over the trivial loss: float64 (T, S), at most 1."""
    return counted(trials.test, diverged(trials), trivial_loss) / trivial_loss


def works(scores: np.ndarray) -> bool:
    """Whether any trial gets below the trivial loss; its learning rates say nothing otherwise.

    Args:
      scores: (T,), means over seeds.
    """
    return bool(scores.min() < 1)


def running_minimum(curves: np.ndarray) -> np.ndarray:
    """The lowest so far along the last axis."""
    return np.minimum.accumulate(curves, axis=-1)


def steps_to(steps: np.ndarray, curves: np.ndarray, target: float) -> np.ndarray:
    """Steps after which curves first are at the target or below.

    Between two points a curve is taken as linear in the steps: a chord lies above a convex curve,
    so that nothing is made out to be faster than it was. Before the first point nothing is known:
    it is the earliest answer.

    Args:
      steps: (P,), ascending.
      curves: (..., P), finite and nowhere rising.
      target: a loss.

    Returns:
      float64 (...), infinite where a curve stays above the target.
    """
    steps, curves = np.asarray(steps, np.float64), np.asarray(curves, np.float64)
    reached = curves <= target
    after = reached.argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    high, low = (
        np.take_along_axis(curves, at[..., None], axis=-1)[..., 0] for at in (before, after)
    )
    fall = np.where(high > low, high - low, 1.0)
    found = steps[before] + (high - target) / fall * (steps[after] - steps[before])
    return np.where(reached.any(axis=-1), found, np.inf)


def speedup(
    steps: np.ndarray,
    curve: np.ndarray,
    reference_steps: np.ndarray,
    reference: np.ndarray,
) -> float:
    """How many times fewer steps one training needs than another of equal length, N.

        N / steps to the reference's lowest loss            if this one gets below it,
        steps of the reference to this one's lowest / N     if the reference gets lower,
        ratio of the steps that each needs to get there     if both get equally low.

    Above 1 it means a lower loss in the end, below 1 a higher one; exchanging the two gives the
    reciprocal; a training against itself gives 1, and against itself k times slower gives k as long
    as the slower one improves to its end, or both get equally low.

    Args:
      steps: (P,), where the curve was measured.
      curve: (P,), a running minimum.
      reference_steps: (Q,), the same of the reference; the last is the same.
      reference: (Q,).
    """
    best, target = float(curve[-1]), float(reference[-1])
    own, others = float(steps[-1]), float(reference_steps[-1])
    if best <= target:
        own = float(steps_to(steps, curve, target))
    if best >= target:
        others = float(steps_to(reference_steps, reference, best))
    return others / own


def smoothed(steps: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Mean training loss over the last steps before each point, `WINDOW` of all steps.

    Args:
      steps: (P,), ascending from above 0.
      training: (..., P), means over the steps since the point before.

    Returns:
      float32 (..., P). Where points are further apart than the window, nothing changes.
    """
    ends = np.asarray(steps, np.float64)
    begins = np.concatenate([[0.0], ends[:-1]])
    opens = np.maximum(ends - WINDOW * ends[-1], 0)
    # How many steps the window before each point (row) shares with the stretch before each other.
    shared = np.minimum(ends[:, None], ends[None]) - np.maximum(opens[:, None], begins[None])
    weights = np.maximum(shared, 0)
    return (training @ (weights / weights.sum(axis=1, keepdims=True)).T).astype(np.float32)


def training_curves(trials: Trials, trivial_loss: float) -> np.ndarray:
    """Mean over seeds of the counted training losses, smoothed: float32 (T, P)."""
    losses = counted(trials.training, diverged(trials), trivial_loss).mean(axis=1)
    return smoothed(trials.steps, losses)


def velo_speedup(
    final: float, length: int, envelope: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, bool]:
    """The normalized speed-up of VeLO: steps that the reference's envelope needs, over one's own.

    The envelope is the lower one of all curves given, so it gets anywhere when the first does.

    Args:
      final: last of this training's `training_curves`.
      length: its number of steps.
      envelope: steps (P,) and running minima (T, P) of the reference's `training_curves`, for each
        length that it was trained for.

    Returns:
      The speed-up, and whether the envelope never gets there: then its longest training is what is
      divided, and the speed-up a lower bound.

    Reference: Metz et al., "VeLO: Training versatile learned optimizers by scaling up", 2022
      (arXiv 2211.09760).
    """
    longest = max(steps[-1] for steps, _ in envelope)
    needed = min(steps_to(steps, curves, final).min() for steps, curves in envelope)
    return float(min(needed, longest) / length), bool(np.isinf(needed))


def tolerance(rates: np.ndarray, scores: np.ndarray) -> float:
    """Decades of learning rate over which the score is within `NEAR` of the best.

    The best score of each rate is taken as linear in the rate's logarithm between the rates tried.

    Args:
      rates: (T,), learning rates of the trials, in any order, and as often as they may be.
      scores: (T,), means over seeds.

    Returns:
      NaN if only one rate was tried, or none works, of which nothing follows.
    """
    distinct, which = np.unique(np.log10(rates), return_inverse=True)
    if len(distinct) == 1 or not works(scores):
        return np.nan
    lowest = np.full(len(distinct), np.inf)
    np.minimum.at(lowest, which, scores)
    above = lowest - lowest.min() - NEAR
    low, high = (pick(above[:-1], above[1:]) for pick in (np.minimum, np.maximum))
    under, over = np.maximum(-low, 0), np.maximum(high, 0)
    part = np.divide(under, under + over, out=np.ones_like(low), where=high > 0)
    return float((part * np.diff(distinct)).sum())


def at_edge(rates: np.ndarray, trial: int) -> bool:
    """Whether a trial's learning rate is the lowest or highest tried; not if one was."""
    return bool(rates.min() < rates.max() and rates[trial] in (rates.min(), rates.max()))
