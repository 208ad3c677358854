"""The page of a report: one HTML file that needs nothing else, no script, no network."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from metaopt.rules.mutate import KINDS
from search.document import document, header, picture, section, table, text
from search.evolve import Counts
from search.live import duration
from search.report_code import difference, highlighted
from search.report_plots import FATES, fate_counts
from search.report_style import STYLE
from search.store import Candidate

if TYPE_CHECKING:
    from search.report import Report


def page(report: Report) -> str:
    """The whole page."""
    sections = [
        _search(report),
        _verdict(report),
        _winner(report),
        _ancestry(report),
        _fates(report),
        _throughput(report),
        _funnel(report),
        _fame(report),
        configuration(report.config),
    ]
    return document(f"{report.title} · metaopt campaign", STYLE, _head(report), *sections)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


# ---------------------------------------------------------------- sections


def _head(report: Report) -> str:
    total = sum((record.counts for record in report.records), Counts())
    config = report.config
    done = report.records[-1].number if report.records else 0
    state = "finished" if report.verdict else f"{done} of {config.rounds} rounds so far"
    facts = [text(config.evolution.method), f"seed {config.seed}", state]
    if report.records:
        ended = time.gmtime(report.records[-1].committed_at)
        facts.append(time.strftime("%Y-%m-%d %H:%M UTC", ended))
    tiles = []
    if report.winner:
        best = max(report.fitness)
        tiles.append((f"{best:.4f}", "best fitness"))
        tiles += [(_signed(best - value), f"against {name}") for name, value in report.lines]
    tiles += [
        (f"{total.generated:,}", "programs generated"),
        (f"{total.evaluated:,}", "candidates trained"),
        (f"{total.steps:,}", "optimizer steps"),
        (duration(sum(record.seconds for record in report.records)), "spent in rounds"),
    ]
    return header("metaopt campaign", report.title, facts, tiles)


def _search(report: Report) -> str:
    if "search.png" not in report.figures:
        return ""
    tasks = ", ".join(report.config.training.tasks)
    lines = ", ".join(
        f"{text(row['name'])} at learning rate {row['rate']:g} and weight decay "
        f"{row['weight_decay']:g}"
        for row in report.baselines
    )
    tuned = f" Tuned on the same tasks: {lines}." if lines else ""
    hidden = f" {report.hidden:,} candidates lie below the range shown." if report.hidden else ""
    return section(
        "Search",
        picture(
            report.figures,
            "search",
            "Best fitness so far, and each candidate's, over trainings",
            "Each dot is a candidate; fitness is 1 − loss / trivial loss on the validation data of "
            f"{text(tasks)}.{tuned}{hidden}",
        ),
    )


def _verdict(report: Report) -> str:
    if not report.verdict:
        return ""
    verdict = report.verdict
    accurate = any(row.get("accuracy") is not None for row in verdict["rows"])
    head = ["rule", "learning rate", "test loss", "± s.d."]
    rows: list[Sequence[str] | str] = []
    for task in verdict["tasks"]:
        of_task = [row for row in verdict["rows"] if row["task"] == task]
        lowest = min(row["loss"] for row in of_task)
        columns = len(head) + accurate
        rows.append(f"<tr class=group><th colspan={columns}><code>{text(task)}</code></th></tr>")
        for row in of_task:
            cells = [text(row["name"]), f"{row['rate']:.3g}"]
            cells += [f"{row['loss']:.4f}", f"{row['spread']:.4f}"]
            if accurate:
                share = row.get("accuracy")
                cells.append("" if share is None else f"{100 * share:.1f} %")
            if row["loss"] == lowest:
                cells = [f"<b>{cell}</b>" for cell in cells]
            rows.append(cells)
    return section(
        "Verdict",
        table([*head, "accuracy"] if accurate else head, rows, range(1, 5)),
        f"<p class=note>Loss on test data after training, mean and standard deviation over "
        f"{verdict['seeds']} seeds that neither the search nor the tuning used. Each rule trains "
        "at the learning rate that did best for it on validation data, among equally many. "
        "The lowest loss of each task is bold.</p>",
    )


def _winner(report: Report) -> str:
    if report.winner is None:
        return ""
    title = "Winner" if report.winner.final else "Best rule so far"
    equations = "".join(f"<div>{line}</div>" for line in report.equations)
    return section(
        title,
        f"<pre><code>{highlighted(report.winner.rule.rstrip())}</code></pre>",
        f'<div class="equations">{equations}</div>',
        "<p class=note>The same as equations, simplified without changing what it computes: "
        "parameters <i>w</i>, gradient <i>g</i>, learning rate <i>η</i>, which follows the "
        f"{text(report.config.training.schedule)} schedule; divisors are guarded by "
        "<i>ε</i> = 10<sup>−8</sup>.</p>",
        "<details><summary>As Optax code</summary>"
        f"<pre><code>{highlighted(report.source.rstrip())}</code></pre>"
        "<p class=note><code>metaopt export</code> also leaves out statements and rounds "
        "constants where fitness allows.</p></details>",
    )


def _ancestry(report: Report) -> str:
    line = report.ancestry
    if len(line) < 2:
        return ""
    steps = []
    for before, after in itertools.pairwise(line):
        gain = after.fitness - before.fitness
        colour = "up" if gain > 0 else "down"
        steps.append(
            f"<li><p><b>{after.fitness:.4f}</b> <span class={colour}>{_signed(gain)}</span> "
            f"<span class=faint>{text(_kind(after))} · round {after.round} · island "
            f"{after.island + 1}</span></p>{difference(before.rule, after.rule)}</li>"
        )
    first = (
        f"<li><p><b>{line[0].fitness:.4f}</b> <span class=faint>the start program</span></p>"
        f"<pre><code>{highlighted(line[0].rule.rstrip())}</code></pre></li>"
    )
    return section(
        "Ancestry",
        f"<p class=note>From the start program to the winner in {len(line) - 1} "
        f"step{'s' if len(line) > 2 else ''}, each with its fitness and its change. Only changes "
        "of behaviour are recorded: a step may hold several mutations, of which all but the last "
        "did nothing by themselves.</p>",
        f"<ol class=ancestry>{first}{''.join(steps)}</ol>",
    )


def _kind(candidate: Candidate) -> str:
    return KINDS[candidate.kind] if candidate.kind >= 0 else "start"


def _fates(report: Report) -> str:
    if "fates.png" not in report.figures:
        return ""
    total = sum((record.counts for record in report.records), Counts())
    counts = fate_counts(total)
    whole = max(1, sum(counts))
    rows = [
        (text(name), f"{count:,}", f"{100 * count / whole:.1f} %")
        for name, count in zip(FATES, counts, strict=True)
    ]
    return section(
        "Where candidates were lost",
        picture(report.figures, "fates", "What became of the programs, over the rounds", ""),
        table(("what became of it", "programs", "share"), rows, (1, 2)),
    )


def _throughput(report: Report) -> str:
    if "throughput.png" not in report.figures:
        return ""
    caption = "The first round, and the first after a resume, include the time to compile."
    return section(
        "Throughput",
        picture(report.figures, "throughput", "Programs and trainings a second over time", caption),
    )


def _funnel(report: Report) -> str:
    parts = []
    for i, stage in enumerate(report.funnel, 1):
        rows = [
            (str(rank), f"{row['fitness']:.4f}", f"{row['spread']:.4f}", _rule_cell(row["rule"]))
            for rank, row in enumerate(stage["rows"], 1)
        ]
        tasks = ", ".join(f"<code>{text(task)}</code>" for task in stage["tasks"])
        seeds = f"{stage['seeds']} seed{'s' if stage['seeds'] != 1 else ''}"
        parts.append(
            f"<h3>Stage {i}</h3><p class=note>{stage['steps']:,} steps, {seeds}: {tasks}</p>"
        )
        parts.append(table(("", "fitness", "± s.d.", "rule"), rows, (0, 1, 2)))
    return section("Funnel", *parts) if parts else ""


def _fame(report: Report) -> str:
    if not report.fame:
        return ""
    rows = [
        (
            str(rank),
            f"{row.fitness:.4f}",
            str(row.round),
            str(row.island + 1),
            _rule_cell(row.rule),
        )
        for rank, row in enumerate(report.fame, 1)
    ]
    return section(
        "Hall of fame",
        f"<p class=note>The {len(rows)} fittest of {len(report.fitness):,} different candidates."
        "</p>",
        table(("", "fitness", "round", "island", "rule"), rows, (0, 1, 2, 3)),
    )


def _rule_cell(rule: str) -> str:
    """A rule folded away behind its length."""
    body = rule.strip().splitlines()
    count = len(body) - 2
    return (
        f"<details><summary>{count} statement{'s' if count != 1 else ''}</summary>"
        f"<pre><code>{highlighted(rule.strip())}</code></pre></details>"
    )


def configuration(config: Any) -> str:
    """A configuration, a dataclass, as a table."""
    rows = [
        (f"<code>{text(key)}</code>", _value(value))
        for key, value in _flat(dataclasses.asdict(config))
    ]
    return section("Configuration", table(("key", "value"), rows, ()))


def _value(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return f"<pre><code>{highlighted(value.strip())}</code></pre>"
    if isinstance(value, (list, tuple)):
        return text(", ".join(map(_short, value)) or "none")
    return text(_short(value))


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flat(values: dict[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            for i, item in enumerate(value):
                yield from _flat(item, f"{before}{key}[{i}].")
        else:
            yield before + key, value
