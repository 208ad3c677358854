"""What a campaign does around its rounds: baselines before, the funnel and the verdict after.

Each result is noted in the store when it is there, so an interrupted campaign goes on behind it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from metaopt.loading import BEST, WINNER, with_rate
from metaopt.rules.parse import parse
from metaopt.rules.program import Program
from search import baselines
from search.config import FunnelStage, SearchConfig
from search.errors import write_whole
from search.evaluate import evaluate_programs, mean_and_spread, seed_fitness
from search.evolve import start_program
from search.problem import problem
from search.store import Store

Say = Callable[[str], None]

FRESH_SEEDS = 1_000_000
"""Seeds from here on are for the final comparison; no search or tuning uses them."""


def begin(store: Store, say: Say) -> list[baselines.Baseline]:
    """The tuned baselines, measured unless the store has them."""
    noted = store.note("baselines")
    if noted is None:
        say("tuning AdamW and Lion on the search's tasks")
        noted = [dataclasses.asdict(b) for b in baselines.measure(store.config())]
        store.set_note("baselines", noted)
    return [baselines.Baseline(**row) for row in noted]


def write_best(store: Store) -> None:
    """Write the best rule so far beside the store, where `metaopt.load` finds it."""
    best = store.best(1)[0]
    write_whole(store.folder / BEST, with_rate(best.rule, best.rate))


def finish(store: Store, say: Say) -> None:
    """Run the funnel, name the winner, and compare it with the baselines."""
    config = store.config()
    _funnel(store, config, say)
    winner = store.note("winner")
    rate = winner.get("rate", 1.0)
    write_whole(store.folder / WINNER, with_rate(winner["rule"], rate))
    if store.note("verdict") is None:
        say("comparing the winner with AdamW and Lion on fresh seeds and test data")
        scales = {"winner": rate, "start": store.improvements()[0].rate}
        lines = begin(store, say)
        store.set_note("verdict", verdict(config, parse(winner["rule"]), lines, scales))


def _funnel(store: Store, config: SearchConfig, say: Say) -> None:
    stages = store.note("funnel") or []
    for i, stage in enumerate(config.funnel):
        if i < len(stages):
            continue
        if i:
            entrants = [(row["print"], row["rule"]) for row in stages[-1]["rows"]]
        else:
            entrants = [(c.print, c.rule) for c in store.best(stage.candidates)]
        training = stage.training
        say(
            f"funnel stage {i + 1} of {len(config.funnel)}: {len(entrants[: stage.candidates])} "
            f"rules, {training.steps} steps, {training.num_seeds} seeds"
        )
        stages.append(_stage(stage, entrants[: stage.candidates]))
        store.set_note("funnel", stages)
    if store.note("winner") is None:
        best = store.best(1)[0]
        row = {"print": best.print, "rule": best.rule, "fitness": best.fitness, "rate": best.rate}
        if stages:  # those of an older version have no rates
            first = {"rate": 1.0} | stages[-1]["rows"][0]
            row = {key: first[key] for key in row}
        store.set_note("winner", row)


def _stage(stage: FunnelStage, entrants: Sequence[tuple[int, str]]) -> dict[str, Any]:
    found = evaluate_programs([parse(rule) for _, rule in entrants], stage.training)
    fitness = seed_fitness(found, stage.training)
    rows = []
    for (print_, rule), rate, values in zip(entrants, found.rate.tolist(), fitness, strict=True):
        mean, spread = mean_and_spread(values)
        row = {"print": print_, "rule": rule, "fitness": mean, "spread": spread, "rate": rate}
        rows.append(row)
    rows.sort(key=lambda row: -row["fitness"])
    training = stage.training
    return {
        "tasks": list(training.tasks),
        "steps": training.steps,
        "seeds": training.num_seeds,
        "rows": rows,
    }


def verdict(
    config: SearchConfig,
    winner: Program,
    lines: Sequence[baselines.Baseline],
    scales: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The winner, the start program, AdamW and Lion, each at its best learning rate.

    Every rule gets the same budget: the rate is chosen among the same factors of its own scale, on
    validation data, for each task anew. The losses are then measured on test data with fresh seeds.
    A training that diverges counts with the trivial predictor's loss, and is counted.

    Args:
      config: the campaign's.
      winner: the winner.
      lines: AdamW and Lion as they were tuned.
      scales: the learning rates that `winner` and `start` were found with; 1 where none is given.
    """
    own = {"winner": 1.0, "start": 1.0, **(scales or {})}
    wanted = config.verdict
    names = wanted.tasks or config.training.tasks
    rules = [("winner", winner, own["winner"]), ("start", start_program(config), own["start"])]
    rules += [(line.name, line.program, line.rate) for line in lines]
    base = replace(config.training, steps=wanted.steps or config.training.steps, patience=1.0)
    rows = []
    for task in names:
        for name, program, scale in rules:
            rates = tuple(scale * factor for factor in wanted.rates)
            tuning = replace(base, tasks=(task,), rates=rates, num_seeds=wanted.tuning_seeds)
            rate = float(evaluate_programs([program], tuning).rate[0])
            final = replace(tuning, rates=(rate,), num_seeds=wanted.seeds, first_seed=FRESH_SEEDS)
            losses = evaluate_programs([program], final, split="test").losses[0, 0]
            diverged = ~np.isfinite(losses)
            losses = np.where(diverged, problem(task).trivial_loss, losses)
            mean, spread = mean_and_spread(losses)
            row = {"name": name, "task": task, "rate": rate, "loss": mean, "spread": spread}
            rows.append(row | {"diverged": int(diverged.sum()), "losses": losses.tolist()})
    return {"tasks": list(names), "seeds": wanted.seeds, "steps": base.steps, "rows": rows}
