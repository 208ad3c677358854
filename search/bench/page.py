"""The page of a benchmark: one HTML file that needs nothing else, no script, no network."""

import math
from collections.abc import Mapping

from search.bench import page_tasks, tables
from search.bench.page_method import configuration, method
from search.bench.plots import slug
from search.bench.results import Claim, Setting, Summary
from search.bench.summary import compared_tasks
from search.bench.tables import LEVEL, compared_settings, describe, percent, plural, probability
from search.document import document, header, picture, section, text
from search.report_style import STYLE

_STYLE = """
small { display: block; color: var(--faint); font-size: 0.6875rem; line-height: 1.35; }
td small { white-space: nowrap; }
.standings th, .tasks th { white-space: normal; vertical-align: bottom; line-height: 1.3; }
.standings th, .standings td { padding-right: 0; padding-left: 0.7rem; }
.standings th:first-child, .standings td:first-child { padding-left: 0; }
.standings td:first-child { white-space: nowrap; }
.tasks th, .tasks td { padding-left: 0; padding-right: 0.5rem; line-height: 1.35; }
.tasks td:first-child { min-width: 11rem; }
.tasks small { white-space: normal; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); }
.lead { font-size: 1.0625rem; }
.claims { padding-left: 1.2rem; margin: 0.6rem 0; }
.claims li { margin: 0.3rem 0; }
.open { color: var(--faint); }
.warn { color: var(--down); }
h3 { margin-top: 2.4rem; }
h3 + figure, h3 + .wide, h3 + div { margin-top: 0.7rem; }
figure + h3 { margin-top: 2rem; }
details.setting > summary { font-weight: 600; margin: 0.6rem 0; }
details { margin: 0.6rem 0; }
details.task {
  border-bottom: 1px solid var(--line); margin: 0; padding: 0.35rem 0; font-size: 0.875rem;
}
details.task summary { color: var(--ink); overflow-wrap: anywhere; }
details.task summary .faint { white-space: nowrap; }
details > .wide, details > .tasks { margin-top: 0.6rem; }
dl.method dt { font-weight: 600; margin-top: 0.9rem; }
dl.method dd { margin: 0.15rem 0 0; }
"""


def page(summary: Summary, figures: Mapping[str, bytes]) -> str:
    """The whole page.

    Args:
      summary: what the benchmark concludes; it may be unfinished.
      figures: `plots.figures(summary)`.
    """
    settings = compared_settings(summary)
    several = len(settings) > 1
    return document(
        f"{summary.results.suite} · metaopt benchmark",
        STYLE + _STYLE,
        _head(summary),
        "" if settings else "<p class=lead>No task is finished by every optimizer yet.</p>",
        _overview(summary) if several else "",
        *(
            _setting(summary, figures, setting, folded=place > 0)
            for place, setting in enumerate(settings)
        ),
        method(summary),
        configuration(summary),
    )


def _head(summary: Summary) -> str:
    results = summary.results
    shapes = {trials.test.shape for trials in results.trials.values()}
    budgets = " or ".join(
        f"{plural(count, 'trial')} × {plural(seeds, 'seed')}" for count, seeds in sorted(shapes)
    )
    facts = [
        plural(len(results.optimizers), "optimizer"),
        f"{budgets} on every task",
        *(text(describe(setting)) for setting in results.settings if len(results.settings) == 1),
        *(text(results.provenance[key]) for key in ("device", "date") if key in results.provenance),
    ]
    trainings = sum(trials.test.size for trials in results.trials.values())
    steps = sum(trials.test.size * int(trials.steps[-1]) for trials in results.trials.values())
    lost = sum(outcome.diverged_all for outcome in summary.outcomes.values())
    families = len({facts.family for facts in results.tasks.values()})
    of_families = f"tasks of {families} families" if families != 1 else "tasks of one family"
    tiles = [
        *_leader(summary),
        (f"{len(results.tasks):,}", of_families),
        (f"{trainings:,}", "trainings"),
        (f"{steps:,}", "optimizer steps"),
        (percent(lost, trainings), "of trainings diverged"),
    ]
    return header("metaopt benchmark", results.suite, facts, tiles)


def _leader(summary: Summary) -> list[tuple[str, str]]:
    """Tiles about the first in rank of the first setting."""
    for setting in compared_settings(summary)[:1]:
        leader = tables.ranked(summary, setting)[0]
        standing = summary.standings[setting, leader]
        count = len(compared_tasks(summary.results, setting))
        tiles = [
            (text(leader), f"lowest mean rank, {standing.rank.value:.2f}"),
            (f"{standing.wins} of {count}", f"tasks won by {leader}"),
        ]
        if leader != summary.reference:
            speedup = f"{standing.speedup.value:.2f}×"
            tiles.append((speedup, f"its speed-up over {summary.reference}"))
        return tiles
    return []


def _overview(summary: Summary) -> str:
    return section(
        "Settings",
        f"<div class=standings>{page_tasks.sheet(tables.overview(summary))}</div>",
        "<p class=note>Mean rank of every optimizer in every setting with its 95 % confidence "
        "interval; the lowest is bold. A length is a factor of each task’s standard number of "
        "steps; everything was tuned for each setting anew.</p>",
    )


def _setting(
    summary: Summary, figures: Mapping[str, bytes], setting: Setting, *, folded: bool
) -> str:
    parts = "\n".join(
        [
            *_standings(summary, figures, setting),
            *_speed(summary, figures, setting),
            *_rates(figures, setting),
            *page_tasks.tasks(summary, setting),
            *_curves(figures, setting),
            *page_tasks.divergence(summary, setting),
        ]
    )
    lead = f"<p class=lead>{_verdict(summary, setting)}</p>"
    if folded:
        parts = f"<details class=setting><summary>All of it</summary>{parts}</details>"
    return section(describe(setting), lead, parts)


def _verdict(summary: Summary, setting: Setting) -> str:
    """The setting in a sentence or two."""
    first, *others = tables.ranked(summary, setting)
    value, low, high = summary.standings[setting, first].rank
    compared = compared_tasks(summary.results, setting)
    count = f"On {plural(len(compared), 'task')}"
    if not others:
        return f"{count}, {text(first)} was trained alone: there is nothing to compare it with."
    undecided = [
        ({claim.first, claim.second} - {first}).pop()
        for claim in summary.claims[setting]
        if first in (claim.first, claim.second) and claim.p_adjusted >= LEVEL
    ]
    known = (
        f" The tests do not tell it apart from {_listed(undecided)}."
        if undecided
        else " The tests tell it apart from every other."
    )
    missing = len(summary.results.tasks) - len(compared)
    left = f" Left out: {plural(missing, 'task')} that not all were trained on." if missing else ""
    between = "" if math.isnan(low) else f" ({low:.2f} to {high:.2f})"
    return (
        f"{count}, <b>{text(first)}</b> has the lowest mean rank of {len(others) + 1}, "
        f"{value:.2f}{between}.{known}{left}"
    )


def _listed(names: list[str]) -> str:
    *most, last = map(text, names)
    return f"{', '.join(most)} and {last}" if most else last


def _standings(summary: Summary, figures: Mapping[str, bytes], setting: Setting) -> list[str]:
    main = page_tasks.sheet(tables.standings(summary, setting))
    key = f"<details><summary>What the columns mean</summary><p class=note>{text(tables.KEY)}</p>"
    parts = ["<h3>Standings</h3>", f"<div class=standings>{main}</div>", f"{key}</details>"]
    if not summary.claims[setting]:
        return parts
    first = tables.ranked(summary, setting)[0]
    told = [
        tables.forward(claim)
        for claim in summary.claims[setting]
        if first in (claim.first, claim.second)
    ]
    count = len(compared_tasks(summary.results, setting))
    lines = "".join(f"<li>{_claim(claim, count)}</li>" for claim in sorted(told, key=_certainty))
    number = len(summary.claims[setting])
    every = page_tasks.sheet(tables.claims(summary, setting))
    return [
        *parts,
        picture(
            figures,
            f"ranks_{slug(setting)}",
            "Mean rank of each optimizer with its confidence interval",
            "Mean rank over the tasks with its 95 % confidence interval. A grey bar at the right "
            "joins optimizers of whom the tests tell no two apart.",
        ),
        "<h3>Who is better than whom</h3>",
        f"<ul class=claims>{lines}</ul>",
        f"<p class=note>The loss is the one on test data, and p comes from a two-sided paired test "
        f"over tasks after Holm’s correction for all {plural(number, 'pair')}: below {LEVEL:g}, "
        "chance alone would hardly show such a difference.</p>",
        f"<details><summary>{plural(number, 'pair')}</summary>{every}</details>",
    ]


def _certainty(claim: Claim) -> float:
    return claim.p


def _claim(claim: Claim, count: int) -> str:
    """A claim in plain words."""
    said = probability(claim.p_adjusted)
    p = text(f"p {said}" if said.startswith("<") else f"p = {said}").replace(" ", "&nbsp;")
    first, second = text(claim.first), text(claim.second)
    tasks = f"{claim.better} of {plural(count, 'task')}"
    if claim.p_adjusted < LEVEL:
        return f"<b>{first}</b> has a lower loss than <b>{second}</b> on {tasks}, {p}."
    higher = f"and a higher one on {claim.worse}"
    return (
        f"<span class=open>Not decided: {first} has a lower loss than {second} on {tasks} "
        f"{higher}, {p}.</span>"
    )


def _speed(summary: Summary, figures: Mapping[str, bytes], setting: Setting) -> list[str]:
    reference = text(summary.reference)
    return [
        "<h3>Speed</h3>",
        picture(
            figures,
            f"profiles_{slug(setting)}",
            "Share of tasks solved within a multiple of the fastest optimizer’s steps",
            "How many tasks an optimizer solves within a multiple of the steps of whichever is "
            "fastest on the task. At the left edge: on how many it is the fastest. At the right "
            "edge: how many it solves at all. A task is solved when validation loss is 95 % of the "
            "way down from the start to the lowest that any optimizer’s best trial reached.",
        ),
        picture(
            figures,
            f"speedups_{slug(setting)}",
            f"Speed-up over {summary.reference} on each task, sorted",
            f"Each dot is a task. Above 1×, the optimizer needs so many times fewer steps to reach "
            f"{reference}’s lowest validation loss. A hollow dot: it never reaches that, and the "
            f"factor says in what part of the steps {reference} gets as low as it did. Height at "
            "50 % is the median.",
        ),
    ]


def _rates(figures: Mapping[str, bytes], setting: Setting) -> list[str]:
    return [
        "<h3>Sensitivity to the learning rate</h3>",
        picture(
            figures,
            f"sensitivity_{slug(setting)}",
            "Score over learning rate for each family of tasks",
            "Mean score over the tasks of each family, whose number is in parentheses; less is "
            "better, and 1 is no better than the trivial predictor. The depth of a valley is how "
            "good an optimizer can be, its width how little tuning it needs. These are test losses "
            "of all trials; nothing was chosen by them.",
        ),
    ]


def _curves(figures: Mapping[str, bytes], setting: Setting) -> list[str]:
    return [
        "<h3>Training curves</h3>",
        picture(
            figures,
            f"curves_{slug(setting)}",
            "Validation loss of each optimizer’s best trial on every task",
            "Validation loss of each optimizer’s best trial as a part of the trivial predictor’s, "
            "which is the dotted line: mean over seeds, shaded from the lowest to the highest. "
            "Every task has axes of its own. Seeds that diverged are not in the mean; where all "
            "did, there is no line.",
        ),
    ]
