"""What a benchmark measures (`Results`), and what it concludes (`Summary`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Facts(NamedTuple):
    """What is known of a task before anything is trained.

    Attributes:
      family: name of its family.
      steps: length of its standard training.
      parameters: number of scalar parameters.
      flops: floating-point operations of a step.
      trivial_loss: validation loss of the trivial predictor.
      initial_loss: validation loss at initialization, mean over seeds.
    """

    family: str
    steps: int
    parameters: int
    flops: int
    trivial_loss: float
    initial_loss: float


class Setting(NamedTuple):
    """How long and with which course of the learning rate everything is trained.

    Attributes:
      length: factor of each task's standard number of steps.
      schedule: name of the learning rate's course: constant, linear, cosine, or wsd.
    """

    length: float
    schedule: str


class Trials(NamedTuple):
    """All trials of one optimizer on one task in one setting: T trials, S seeds, P points.

    Losses are as measured. A training diverged if any of its losses is NaN or infinite. Seed s is
    the same initial parameters and the same batches for all trials of all optimizers.

    Attributes:
      hyperparameters: name -> float64 (T,); `learning_rate` is among them.
      steps: int32 (P,), the steps after which losses were measured, ascending from above 0; the
        last is the end.
      training: float32 (T, S, P), mean training loss of the steps since the point before.
      validation: float32 (T, S, P), loss on the validation split.
      test: float32 (T, S), loss on the test split at the end.
    """

    hyperparameters: Mapping[str, np.ndarray]
    steps: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Cost(NamedTuple):
    """What an optimizer costs beyond gradients.

    Attributes:
      step_time: seconds of one update of a tree of 50 tensors, over those of `optax.adamw`.
      state: bytes of its state over bytes of the parameters.
    """

    step_time: float
    state: float


@dataclass(frozen=True)
class Results:
    """Everything that was measured.

    Attributes:
      suite: full name of the suite, such as `held_out_v1`.
      optimizers: names, in the order asked for.
      settings: lengths and schedules.
      tasks: facts of each task, in the suite's order.
      trials: by (task, setting, optimizer).
      costs: by optimizer; those that were measured.
      provenance: versions, device, seconds, and so on, for the reader.
    """

    suite: str
    optimizers: tuple[str, ...]
    settings: tuple[Setting, ...]
    tasks: Mapping[str, Facts]
    trials: Mapping[tuple[str, Setting, str], Trials]
    costs: Mapping[str, Cost]
    provenance: Mapping[str, str]


# ---------------------------------------------------------------- conclusions


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval, which includes it; NaN where there is none."""

    value: float
    low: float
    high: float


class Outcome(NamedTuple):
    """One optimizer on one task in one setting, at its best trial.

    The best trial has the lowest mean final validation loss over seeds, the first of those that
    tie. A seed that diverged counts, there and in all that compares optimizers, with the trivial
    loss throughout, and so does any loss above it. A curve is the mean of that over seeds.

    Attributes:
      trial: index of the best trial.
      hyperparameters: its hyperparameters.
      at_edge: whether its learning rate is the lowest or highest tried; not if one was tried, or if
        no trial has a score below 1.
      validation: mean final validation loss of its seeds that did not diverge; NaN if all did.
      test: mean final test loss of its seeds that did not diverge; NaN if all did.
      spread: sample standard deviation of that; 0 for one seed, NaN for none.
      diverged: seeds of the best trial that diverged.
      diverged_all: trainings that diverged, of all trials and seeds.
      trainings: how many there were.
      score: mean over seeds of min(test loss, trivial loss) / trivial loss, in [0, 1]; less is
        better.
      scores: the same seed by seed.
      target_steps: steps that its best trial's validation curve needs to reach the lowest point of
        the reference's; infinite if it never does.
      speedup: steps of the training / `target_steps` if it gets below the reference's lowest; if it
        does not get there, steps that the reference needs to reach this optimizer's lowest / steps
        of the training, below 1; if both get equally low, the ratio of the steps that they need. It
        is 1 for the reference itself.
      velo_speedup: the normalized speed-up of the VeLO paper: steps that the reference's lower
        envelope over all its trials and lengths with this schedule (training curve, smoothed,
        running minimum) needs to reach this optimizer's final training loss, over this training's
        steps. It is at most 1 for the reference itself.
      velo_at_least: whether the envelope never got there, so that `velo_speedup`, then with the
        steps of the reference's longest training, is a lower bound.
      tolerance: decades of learning rate over which the score (mean over seeds, best over the other
        hyperparameters, between two rates linear in their logarithm) is within 0.05 of the best:
        how forgiving the optimizer is. NaN if one rate was tried, or no score is below 1.

    What needs the reference is NaN where it has not been trained.
    """

    trial: int
    hyperparameters: Mapping[str, float]
    at_edge: bool
    validation: float
    test: float
    spread: float
    diverged: int
    diverged_all: int
    trainings: int
    score: float
    scores: tuple[float, ...]
    target_steps: float
    speedup: float
    velo_speedup: float
    velo_at_least: bool
    tolerance: float


class Standing(NamedTuple):
    """One optimizer over the tasks of a setting that all optimizers were trained on.

    Attributes:
      rank: mean over tasks of its rank by `score` (1 is best, ties share); the interval is from a
        bootstrap over tasks and seeds, and there is none for a single task.
      score: mean over tasks; interval likewise.
      speedup: geometric mean of `Outcome.speedup`; interval from a bootstrap over tasks.
      wins: tasks where it has the lowest score, shared or not, if that is below 1.
      diverged: trainings that diverged, of `trainings`.
      trainings: how many trainings there were.
      tolerance: median over the tasks where it is known, in decades; NaN if it is on none.
      at_edge: tasks whose best learning rate is at the edge of those tried.
    """

    rank: Interval
    score: Interval
    speedup: Interval
    wins: int
    diverged: int
    trainings: int
    tolerance: float
    at_edge: int


class Claim(NamedTuple):
    """The claim that one optimizer differs from another over the tasks of a setting.

    Attributes:
      first: the optimizer.
      second: the other.
      better: tasks where the first has the lower score.
      worse: tasks where it has the higher.
      difference: mean over tasks of score(second) - score(first), with a bootstrap interval.
      p: two-sided p-value of Wilcoxon's signed-rank test over tasks.
      p_adjusted: after Holm's correction for all claims of the setting.
    """

    first: str
    second: str
    better: int
    worse: int
    difference: Interval
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class Summary:
    """What a benchmark concludes.

    Standings, claims and profiles are about the tasks that all optimizers were trained on in a
    setting; a setting without such tasks has none.

    Attributes:
      results: what it is made from.
      reference: optimizer that speed-ups are measured against.
      outcomes: by (task, setting, optimizer).
      standings: by (setting, optimizer).
      claims: by setting: every pair of optimizers.
      profiles: by setting: x (K,), ascending from 1, and for each optimizer the fraction of tasks
        (K,) that it solves within x times the steps of the fastest (Dolan and More); a task is
        solved when the best trial's validation curve comes within 5 % of the way from the initial
        (or the trivial, if that is lower) to the lowest loss of any optimizer's best trial.
    """

    results: Results
    reference: str
    outcomes: Mapping[tuple[str, Setting, str], Outcome]
    standings: Mapping[tuple[Setting, str], Standing]
    claims: Mapping[Setting, tuple[Claim, ...]]
    profiles: Mapping[Setting, tuple[np.ndarray, Mapping[str, np.ndarray]]]
