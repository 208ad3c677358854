"""The parts of a benchmark's page that are about single tasks."""

import math
from collections.abc import Sequence

from search.bench import tables
from search.bench.results import Facts, Outcome, Setting, Summary
from search.bench.summary import compared_tasks
from search.bench.tables import Cell, Sheet, percent, plural
from search.document import table, text

_NAMED = 3
"""So many tasks are named where naming all would be too much."""


def sheet(content: Sheet, *, code: bool = False) -> str:
    """A table as HTML, its first column as code if it should be."""

    def shown(cell: Cell, column: int) -> str:
        value = breakable(cell.text) if column in content.words else text(cell.text)
        value = f"<code>{value}</code>" if code and column == 0 else value
        value = f"<b>{value}</b>" if cell.best else value
        return f"{value}<small>{text(cell.note)}</small>" if cell.note else value

    rows = [[shown(cell, i) for i, cell in enumerate(row)] for row in content.rows]
    numbers = [i for i in range(len(content.head)) if i not in content.words]
    head = [breakable(title).replace("-", "\N{NON-BREAKING HYPHEN}") for title in content.head]
    return table(head, rows, numbers)


def breakable(name: str) -> str:
    """A name as HTML that lines may break after its underscores."""
    return text(name).replace("_", "_<wbr>")


def tasks(summary: Summary, setting: Setting) -> list[str]:
    """Scores of all tasks, then losses, then each task by itself."""
    results = summary.results
    each = "".join(
        _task(summary, setting, task, results.tasks[task])
        for task in compared_tasks(results, setting)
    )
    return [
        "<h3>Tasks</h3>",
        f"<div class=tasks>{sheet(tables.scores(summary, setting), code=True)}</div>",
        "<p class=note>Score: test loss over the trivial predictor’s, at most 1. The lowest of "
        "each task is bold.</p>",
        "<details><summary>Test losses</summary>"
        f"<div class=tasks>{sheet(tables.losses(summary, setting), code=True)}</div>"
        "<p class=note>Mean over the seeds that did not diverge.</p></details>",
        f"<details><summary>Task by task: hyperparameters, losses, speed-ups</summary>{each}"
        "</details>",
    ]


def _task(summary: Summary, setting: Setting, task: str, facts: Facts) -> str:
    names = summary.results.optimizers
    outcomes = {name: summary.outcomes[task, setting, name] for name in names}
    order = sorted(names, key=lambda name: outcomes[name].score)
    steps = int(summary.results.trials[task, setting, order[0]].steps[-1])
    about = [
        text(facts.family),
        plural(facts.parameters, "parameter"),
        plural(steps, "step"),
        f"{_amount(facts.flops)}FLOP a step",
        f"trivial loss {facts.trivial_loss:.4g}",
        f"initial loss {facts.initial_loss:.4g}",
    ]
    rows = [_row(name, outcomes[name], name == order[0]) for name in order]
    head = ("optimizer", "test loss", "score", "learning rate", "diverged", "speed-up", "VeLO’s")
    edges = [name for name in order if outcomes[name].at_edge]
    warning = (
        f"<p class='note warn'>The best learning rate of {text(', '.join(edges))} is at the edge "
        "of those tried.</p>"
        if edges
        else ""
    )
    return (
        f"<details class=task><summary><code>{breakable(task)}</code> "
        f"<span class=faint>{text(order[0])} {outcomes[order[0]].score:.3f}</span></summary>"
        f"<p class=note>{' · '.join(about)}</p>{sheet(Sheet(head, tuple(rows)))}{warning}</details>"
    )


def _row(name: str, outcome: Outcome, best: bool) -> tuple[Cell, ...]:
    others = ", ".join(
        f"{key} {value:.3g}"
        for key, value in outcome.hyperparameters.items()
        if key != "learning_rate"
    )
    survived = outcome.diverged < len(outcome.scores)
    spread = f"± {outcome.spread:.2g}" if survived else ""
    velo = f"{'≥ ' if outcome.velo_at_least else ''}{_factor(outcome.velo_speedup)}"
    rate = outcome.hyperparameters["learning_rate"]
    return (
        Cell(name),
        Cell(f"{outcome.test:.4g}" if survived else "–", spread, best),
        Cell(f"{outcome.score:.3f}"),
        Cell(
            "none" if math.isnan(rate) else f"{rate:.3g}",
            ", ".join(filter(None, ("at the edge" * outcome.at_edge, others))),
        ),
        Cell(f"{outcome.diverged_all} of {outcome.trainings}"),
        Cell(_factor(outcome.speedup)),
        Cell(velo),
    )


def divergence(summary: Summary, setting: Setting) -> list[str]:
    """What diverged, and whose best learning rates are at the edge."""
    compared = compared_tasks(summary.results, setting)
    rows, edges = [], []
    for name in tables.ranked(summary, setting):
        outcomes = {task: summary.outcomes[task, setting, name] for task in compared}
        lost = sum(outcome.diverged_all for outcome in outcomes.values())
        whole = sum(outcome.trainings for outcome in outcomes.values())
        tuned = [task for task, outcome in outcomes.items() if outcome.diverged]
        worst = sorted(outcomes, key=lambda task: -outcomes[task].diverged_all)[:_NAMED]
        named = "; ".join(
            f"{task} ({outcomes[task].diverged_all} of {outcomes[task].trainings})"
            for task in worst
            if outcomes[task].diverged_all
        )
        tuned_text = f"{len(tuned)} of {len(compared)}"
        row = (Cell(name), Cell(percent(lost, whole)), Cell(tuned_text), Cell(named or "none"))
        rows.append(row)
        at_edge = [task for task, outcome in outcomes.items() if outcome.at_edge]
        if at_edge:
            edges.append(f"<li><b>{text(name)}</b> on {_named(at_edge, len(compared))}</li>")
    head = ("optimizer", "trainings", "best trials", "most on")
    warning = (
        "<p>The best learning rate is the lowest or highest of those tried, so that the optimizer "
        f"might do better with others, for</p><ul class=claims>{''.join(edges)}</ul>"
        if edges
        else "<p>No best learning rate is at the edge of those tried.</p>"
    )
    return [
        "<h3>What diverged</h3>",
        f"<div class=tasks>{sheet(Sheet(head, tuple(rows), (0, 3)))}</div>",
        "<p class=note>Trainings with a loss that is NaN or infinite: their share of all, and the "
        "tasks where even the best trial has such a seed.</p>",
        "<h3>At the edge of the search</h3>",
        warning,
    ]


def _named(names: Sequence[str], whole: int) -> str:
    """How many tasks, and which the first are."""
    shown = ", ".join(f"<code>{breakable(name)}</code>" for name in names[:_NAMED])
    more = f" and {plural(len(names) - _NAMED, 'other')}" if len(names) > _NAMED else ""
    return f"{len(names)} of {plural(whole, 'task')}: {shown}{more}"


def _factor(value: float) -> str:
    """A speed-up; it is NaN where the reference was not trained."""
    return f"{value:.2f}×" if value == value else "–"


def _amount(value: float) -> str:
    """A number with a prefix: `1.2 M`."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "
