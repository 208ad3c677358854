"""What follows from what was measured: `summarize`, and its form for JSON, `to_json`."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from search.bench import measures, statistics
from search.bench.results import (
    Claim,
    Facts,
    Outcome,
    Results,
    Setting,
    Standing,
    Summary,
    Trials,
)

SOLVED = 0.05
"""A task is solved at this part of the way from the lowest loss back to the initial one."""

Key = tuple[str, Setting, str]
Profile = tuple[np.ndarray, Mapping[str, np.ndarray]]


class Curve(NamedTuple):
    """Running minimum of a best trial's validation curve: float32 (P,), after `steps` (P,)."""

    steps: np.ndarray
    losses: np.ndarray


def summarize(results: Results, reference: str = "adamw") -> Summary:
    """Conclusions from measurements, which may be incomplete.

    Args:
      results: what was measured.
      reference: optimizer that speed-ups are measured against; the first one if this one is not
        among the optimizers.

    Raises:
      ValueError: within a setting, trainings have different numbers of seeds.
    """
    if reference not in results.optimizers:
        reference = results.optimizers[0]

    @cache
    def envelope(task: str, schedule: str) -> list[Curve]:
        """Running minima of all the reference's training curves: losses (T, P) for each length."""
        found = (
            results.trials.get((task, s, reference))
            for s in results.settings
            if s.schedule == schedule
        )
        trivial = results.tasks[task].trivial_loss
        return [
            Curve(t.steps, measures.running_minimum(measures.training_curves(t, trivial)))
            for t in found
            if t is not None
        ]

    keys = [
        (task, setting, optimizer)
        for task in results.tasks
        for setting in results.settings
        for optimizer in results.optimizers
        if (task, setting, optimizer) in results.trials
    ]
    curves = {key: _curve(results.trials[key], results.tasks[key[0]]) for key in keys}
    outcomes = {
        (task, setting, optimizer): _outcome(
            results.trials[task, setting, optimizer],
            results.tasks[task],
            curves[task, setting, optimizer],
            curves.get((task, setting, reference)),
            envelope(task, setting.schedule),
        )
        for task, setting, optimizer in keys
    }
    standings, claims, profiles = {}, {}, {}
    for setting in results.settings:
        compared = compared_tasks(results, setting)
        if not compared:
            continue
        rows = [[outcomes[task, setting, o] for o in results.optimizers] for task in compared]
        found, claims[setting] = _compare(rows, results.optimizers, setting)
        standings |= {(setting, name): standing for name, standing in found.items()}
        profiles[setting] = _profile(results, setting, compared, curves)
    return Summary(results, reference, outcomes, standings, claims, profiles)


def compared_tasks(results: Results, setting: Setting) -> tuple[str, ...]:
    """Tasks that every optimizer was trained on in a setting; the others are left out."""
    return tuple(
        task
        for task in results.tasks
        if all((task, setting, optimizer) in results.trials for optimizer in results.optimizers)
    )


# ---------------------------------------------------------------- one task


def _curve(trials: Trials, facts: Facts) -> Curve:
    best = measures.best_trial(trials, facts.trivial_loss)
    losses = measures.validation_curves(trials, facts.trivial_loss)[best]
    return Curve(trials.steps, measures.running_minimum(losses))


def _outcome(
    trials: Trials,
    facts: Facts,
    curve: Curve,
    reference: Curve | None,
    envelope: list[Curve],
) -> Outcome:
    trivial = facts.trivial_loss
    trial = measures.best_trial(trials, trivial)
    failed = measures.diverged(trials)
    scores = measures.scores(trials, trivial)
    means = scores.mean(axis=1)
    rates = trials.hyperparameters["learning_rate"]
    kept = ~failed[trial]
    tests = trials.test[trial, kept].astype(np.float64)
    finals = trials.validation[trial, kept, -1].astype(np.float64)
    target_steps = speedup = velo = np.nan
    at_least = False
    if reference is not None:
        target_steps = float(measures.steps_to(*curve, float(reference.losses[-1])))
        speedup = measures.speedup(*curve, *reference)
    if envelope:
        final = float(measures.training_curves(trials, trivial)[trial, -1])
        velo, at_least = measures.velo_speedup(final, int(trials.steps[-1]), envelope)
    return Outcome(
        trial=trial,
        hyperparameters={k: float(v[trial]) for k, v in trials.hyperparameters.items()},
        at_edge=measures.works(means) and measures.at_edge(rates, trial),
        validation=float(finals.mean()) if kept.any() else np.nan,
        test=float(tests.mean()) if kept.any() else np.nan,
        spread=float(tests.std(ddof=min(1, len(tests) - 1))) if kept.any() else np.nan,
        diverged=int(failed[trial].sum()),
        diverged_all=int(failed.sum()),
        trainings=failed.size,
        score=float(scores[trial].mean()),
        scores=tuple(scores[trial].tolist()),
        target_steps=target_steps,
        speedup=speedup,
        velo_speedup=velo,
        velo_at_least=at_least,
        tolerance=measures.tolerance(rates, means),
    )


# ---------------------------------------------------------------- all tasks of a setting


def _compare(
    rows: list[list[Outcome]], optimizers: tuple[str, ...], setting: Setting
) -> tuple[dict[str, Standing], tuple[Claim, ...]]:
    """Standings and claims from outcomes (N, M)."""
    seeds = sorted({len(outcome.scores) for row in rows for outcome in row})
    if len(seeds) > 1:
        raise ValueError(
            f"{setting}: trainings have {' or '.join(map(str, seeds))} seeds; "
            "compare only what was trained with the same seeds"
        )
    count = len(rows)
    scores = np.array([[outcome.scores for outcome in row] for row in rows])
    speedups = np.array([[outcome.speedup for outcome in row] for row in rows])
    means = np.array([[outcome.score for outcome in row] for row in rows])
    ranks = statistics.ranks(means)
    lowest = means.min(axis=1)
    score_samples = statistics.bootstrap(scores, lambda x: x.mean(axis=1))
    rank_samples = statistics.bootstrap(scores, lambda x: statistics.ranks(x).mean(axis=1))
    speedup_samples = statistics.bootstrap(
        np.log(speedups)[..., None], lambda x: np.exp(x.mean(axis=1))
    )

    standings = {}
    for m, name in enumerate(optimizers):
        own = [row[m] for row in rows]
        standings[name] = Standing(
            rank=statistics.interval(ranks[:, m].mean(), rank_samples[:, m], count),
            score=statistics.interval(means[:, m].mean(), score_samples[:, m], count),
            speedup=statistics.interval(
                statistics.geometric_mean(speedups[:, m]), speedup_samples[:, m], count
            ),
            wins=int(((means[:, m] == lowest) & (lowest < 1)).sum()),
            diverged=sum(outcome.diverged_all for outcome in own),
            trainings=sum(outcome.trainings for outcome in own),
            tolerance=_median_known([outcome.tolerance for outcome in own]),
            at_edge=sum(outcome.at_edge for outcome in own),
        )

    pairs = list(combinations(range(len(optimizers)), 2))
    gains = [means[:, second] - means[:, first] for first, second in pairs]
    p = np.array([statistics.signed_rank_test(gain) for gain in gains])
    claims = tuple(
        Claim(
            first=optimizers[first],
            second=optimizers[second],
            better=int((gain > 0).sum()),
            worse=int((gain < 0).sum()),
            difference=statistics.interval(
                gain.mean(), score_samples[:, second] - score_samples[:, first], count
            ),
            p=float(p[k]),
            p_adjusted=float(adjusted),
        )
        for k, ((first, second), gain, adjusted) in enumerate(
            zip(pairs, gains, statistics.holm(p), strict=True)
        )
    )
    return standings, claims


def _median_known(values: Sequence[float]) -> float:
    """The median of those that are known; NaN if none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else np.nan


def _profile(
    results: Results, setting: Setting, compared: tuple[str, ...], curves: Mapping[Key, Curve]
) -> Profile:
    times = np.array(
        [
            _solved_after(
                results.tasks[task], [curves[task, setting, o] for o in results.optimizers]
            )
            for task in compared
        ]
    )
    factors, fractions = statistics.performance_profile(times)
    return factors, dict(zip(results.optimizers, fractions, strict=True))


def _solved_after(facts: Facts, curves: list[Curve]) -> list[float]:
    """Steps after which each solves the task; infinite if no one improves on the start."""
    start = float(np.float32(np.fmin(facts.initial_loss, facts.trivial_loss)))
    lowest = min(float(curve.losses[-1]) for curve in curves)
    if lowest >= start:
        return [np.inf] * len(curves)
    target = lowest + SOLVED * (start - lowest)
    return [float(measures.steps_to(*curve, target)) for curve in curves]


# ---------------------------------------------------------------- JSON


def to_json(summary: Summary) -> dict[str, Any]:
    """A summary as JSON values: no curves but the best trials'; None for what is not finite.

    Returns:
      `suite`, `reference`, `optimizers`, `tasks` (their facts), `costs`, `provenance`, and
      `settings`, a list of `length`, `schedule`, `compared` and `left_out` (tasks), `standings` by
      optimizer, `claims`, `profile` (`x`, and `fractions` by optimizer), and `outcomes` by task and
      optimizer: the fields of `Outcome` and `steps` and `curve`, where the best trial's validation
      loss was measured and its plain mean over seeds, to four digits.
    """
    results = summary.results
    return {
        "suite": results.suite,
        "reference": summary.reference,
        "optimizers": list(results.optimizers),
        "tasks": _plain(results.tasks),
        "costs": _plain(results.costs),
        "provenance": dict(results.provenance),
        "settings": [_setting_to_json(summary, setting) for setting in results.settings],
    }


def _setting_to_json(summary: Summary, setting: Setting) -> dict[str, Any]:
    results = summary.results
    compared = compared_tasks(results, setting)
    factors, fractions = summary.profiles.get(setting, ([], {}))
    outcomes: dict[str, dict[str, Any]] = {}
    for (task, where, optimizer), outcome in summary.outcomes.items():
        if where == setting:
            trials = results.trials[task, where, optimizer]
            curve = trials.validation[outcome.trial].astype(np.float64).mean(axis=0)
            outcomes.setdefault(task, {})[optimizer] = _plain(outcome) | {
                "steps": trials.steps.tolist(),
                "curve": _short(curve),
            }
    return {
        **_plain(setting),
        "compared": list(compared),
        "left_out": [task for task in results.tasks if task not in compared],
        "standings": {
            o: _plain(summary.standings[setting, o])
            for o in results.optimizers
            if (setting, o) in summary.standings
        },
        "claims": [_plain(claim) for claim in summary.claims.get(setting, ())],
        "profile": {
            "x": _short(factors),
            "fractions": {k: _short(v) for k, v in fractions.items()},
        },
        "outcomes": outcomes,
    }


def _plain(value: Any) -> Any:
    """Named tuples and mappings as dicts, tuples as lists, None for floats that are not finite."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else None
    return value


def _short(values: Any) -> list[float | None]:
    """Numbers to four significant digits."""
    return [float(f"{x:.4g}") if np.isfinite(x) else None for x in values]
