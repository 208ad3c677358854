"""The page of a meta-training: one HTML file that needs nothing else, no script, no network."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

import tasks
from search.document import document, header, picture, section, table, text
from search.meta import summary, validate
from search.report_page import configuration
from search.report_style import STYLE
from search.views import a_second, duration

if TYPE_CHECKING:
    from search.meta.report import Report

TRIVIAL = "trivial predictor"

_NORMALIZED = {
    "clipped": "the loss itself, at most 1.5 times that of the trivial predictor",
    "relative": "loss over that of the trivial predictor, x, or 1 + log(x) above 1",
    "log": "the logarithm of the loss over that of the trivial predictor",
}
_WATCHED = 20
"""Names of tasks that are listed before the others are folded away."""


def page(report: Report) -> str:
    """The whole page."""
    return document(
        f"{report.title} · metaopt meta-training",
        STYLE,
        _head(report),
        _loss(report),
        _validation(report),
        _families(report),
        _gradient(report),
        _curriculum(report),
        _broken(report),
        _throughput(report),
        configuration(report.config),
        _provenance(report),
    )


def _head(report: Report) -> str:
    config, records = report.config, report.records
    done = len(records)
    facts = [
        text(config.network.name),
        f"{report.parameters:,} meta-parameters",
        text(config.estimator.method),
        f"seed {config.seed}",
        "finished" if done >= config.steps else f"{done:,} of {config.steps:,} meta-updates so far",
    ]
    if report.committed_at is not None:
        facts.append(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.committed_at)))
    tiles = []
    if records:
        tiles = [
            (f"{summary.at_last(records):.4f}", "meta-loss at the end"),
            (f"{summary.at_first(records):.4f}", "at first"),
        ]
    if report.validations:
        best = min(report.validations, key=lambda found: found.score)
        tiles.append((f"{best.score:.4f}", f"best validation, at {best.step:,}"))
    seconds = sum(record.seconds for record in records)
    steps = summary.inner_steps(records)
    tiles += [
        (f"{done:,}", "meta-updates"),
        (f"{steps:,}", "inner steps"),
        (duration(seconds), "spent in meta-updates"),
        (a_second(steps, seconds), "inner steps a second"),
    ]
    return header("metaopt meta-training", report.title, facts, tiles)


def _loss(report: Report) -> str:
    if not report.records:
        return ""
    how = report.config.estimator.normalization
    width = summary.window(len(report.records))
    caption = (
        f"Each dot is a meta-update: the mean over its {report.config.groups} "
        f"group{'s' * (report.config.groups > 1)} of {report.config.particles} particles. The line "
        f"is the mean of the last {width}. A loss counts as {_NORMALIZED[how]}; one that is not "
        f"finite as the worst. Untrained: the mean of the first {summary.FIRST} meta-updates."
    )
    drawn = picture(report.figures, "loss", "Meta-loss over meta-updates", caption)
    return section("Meta-loss", drawn)


def _validation(report: Report) -> str:
    if not report.validations:
        return ""
    best = min(report.validations, key=lambda found: found.score)
    last = report.validations[-1]
    rows = [
        (
            f"<code>{text(name)}</code>",
            text(tasks.family(tasks.TASKS[name])),
            f"{value:.4f}",
            f"{last.losses[name]:.4f}",
        )
        for name, value in sorted(best.losses.items(), key=lambda item: item[1])
    ]
    caption = (
        f"Mean loss at the end of {validate.STEPS} steps on {len(best.losses)} tasks of the suite "
        f"<code>{validate.SUITE}</code>, which are never trained on, {validate.SEEDS} seeds each, "
        f"with the weights as they are: {_NORMALIZED['relative']}. The weights with the lowest "
        "are those that are exported."
    )
    head = ("task", "family", f"best, at {best.step:,}", f"last, at {last.step:,}")
    return section(
        "Validation",
        picture(report.figures, "validation", "Validation over meta-updates", caption),
        f"<details><summary>Task by task</summary>{table(head, rows, (2, 3))}</details>",
    )


def _families(report: Report) -> str:
    met = Counter(name for record in report.records for name in record.tasks)
    if not met:
        return ""
    rows = [
        (f"<code>{text(name)}</code>", text(tasks.family(tasks.TASKS[name])), f"{count:,}")
        for name, count in met.most_common()
    ]
    head = ("task", "family", "estimates")
    listed = table(head, rows, (2,))
    if len(rows) > _WATCHED:
        listed = f"<details><summary>All {len(rows)} tasks</summary>{listed}</details>"
    drawn = ""
    if "families.png" in report.figures:
        caption = "Dashed: the trivial predictor." if TRIVIAL in report.levels else ""
        drawn = picture(report.figures, "families", "Meta-loss of each family of tasks", caption)
    return section("Tasks", drawn, listed)


def _gradient(report: Report) -> str:
    if not report.records:
        return ""
    clip = report.config.outer.clip
    cut = f" Every entry is then cut to ±{clip:g}." if clip else ""
    caption = f"Euclidean norm of the mean estimate over groups.{cut}"
    meaning = "Norm of the gradient estimates over meta-updates"
    return section("Gradient", picture(report.figures, "gradient", meaning, caption))


def _curriculum(report: Report) -> str:
    if not report.records:
        return ""
    ended = sum(float(metrics.ended) for record in report.records for metrics in record.metrics)
    config, unit = report.config.curriculum, report.config.estimator.truncation
    drawn = "curriculum.png" in report.figures
    where = "in the band" if drawn else f"from {config.shortest:,} to {config.longest:,} steps"
    caption = (
        f"Lengths of trainings are log-uniform {where}, and multiples of {unit}. {ended:,.0f} came "
        "to their end."
    )
    if not drawn:
        return section("Curriculum", f"<p>{caption}</p>")
    meaning = "Shortest and longest training over meta-updates"
    return section("Curriculum", picture(report.figures, "curriculum", meaning, caption))


def _broken(report: Report) -> str:
    if not report.records:
        return ""
    if "broken.png" not in report.figures:
        return section("Broken losses", "<p>Every loss was finite.</p>")
    shares = summary.broken(report.records)
    share, hit = float(np.mean(shares)), int(np.sum(shares > 0))
    caption = (
        f"{100 * share:.3g} % of all losses, in {hit:,} of {len(shares):,} meta-updates. Each "
        "counts as the worst loss that there is."
    )
    meaning = "Share of losses that were not finite over meta-updates"
    return section("Broken losses", picture(report.figures, "broken", meaning, caption))


def _throughput(report: Report) -> str:
    if not report.records:
        return ""
    caption = "The first meta-update on a task, and after a resume, includes the time to compile."
    meaning = "Meta-updates and inner steps a second over time"
    return section("Throughput", picture(report.figures, "throughput", meaning, caption))


def _provenance(report: Report) -> str:
    rows = [
        (text(machine["date"]), text(machine["device"]), text(machine["software"]))
        for machine in report.machines
    ]
    return section("Provenance", table(("from", "machine", "software"), rows, ())) if rows else ""
