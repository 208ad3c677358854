"""The tables of a benchmark, as Markdown and for the terminal."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from search.bench.results import Claim, Interval, Setting, Summary
from search.bench.summary import compared_tasks

LEVEL = 0.05
"""A claim stands if its adjusted p-value is below this."""


KEY = (
    "Rank: mean over tasks by score, 1 is best. Score: test loss over that of the trivial "
    "predictor, at most 1; less is better. Speed-up: how many times fewer steps than the reference "
    "for the same validation loss, geometric mean. Wins: tasks where it has the lowest score. "
    "Diverged: share of all trainings. Tolerance: decades of learning rate that lose less than "
    "0.05 of score, median over the tasks where it learns; – where it learns none, or no two were "
    "tried. At edge: tasks whose best learning rate is the lowest or highest tried. Step time: of "
    "one update without the gradient, over that of optax.adamw. State: bytes over those of the "
    "parameters. In parentheses or below: 95 % confidence intervals, of two tasks or more."
)
"""What the columns of the main table mean."""


class Cell(NamedTuple):
    """What a table says in one place.

    Attributes:
      text: the value.
      note: what is to be known of it, such as its confidence interval.
      best: whether it is the best of its row or column.
    """

    text: str
    note: str = ""
    best: bool = False


class Sheet(NamedTuple):
    """A table before it has a form: the first column names what the row is about.

    Attributes:
      head: titles of the columns.
      rows: cells.
      words: columns that hold words rather than numbers; the first is one of them.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: tuple[int, ...] = (0,)

    def markdown(self) -> str:
        """The table as GitHub and others show it; the best is bold."""
        rule = ("---" if i in self.words else "---:" for i in range(len(self.head)))
        body = ([_inline(cell) for cell in row] for row in self.rows)
        lines = (f"| {' | '.join(line)} |" for line in ([*self.head], [*rule], *body))
        return "\n".join(lines) + "\n"

    def terminal(self) -> Table:
        """The table for a terminal; notes stand below what they are about."""
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for i, title in enumerate(self.head):
            if i in self.words:
                # Between words, lines may break where the terminal is narrow.
                texts = [title, *(row[i].text for row in self.rows)]
                longest = max(len(word) for text in texts for word in text.split())
                table.add_column(title, min_width=longest)
            else:
                table.add_column(title.replace(" ", "\n"), justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(_stacked, row))
        return table


def _inline(cell: Cell) -> str:
    text = cell.text.replace("|", r"\|")
    text = f"**{text}**" if cell.best and text else text
    return f"{text} ({cell.note})" if cell.note else text


def _stacked(cell: Cell) -> Text:
    text = Text(cell.text, "bold" if cell.best else "")
    return text.append(f"\n{cell.note}", "dim") if cell.note else text


# ---------------------------------------------------------------- whole benchmarks


def markdown(summary: Summary) -> str:
    """The tables of every setting, as a Markdown document."""
    results = summary.results
    parts = [f"# {results.suite}\n"]
    for setting in compared_settings(summary):
        count = len(compared_tasks(results, setting))
        parts += [f"## {describe(setting)}\n", f"{plural(count, 'task')}.\n"]
        parts += [standings(summary, setting).markdown(), f"{KEY}\n"]
        if summary.claims[setting]:
            parts += ["### Pairs\n", claims(summary, setting).markdown()]
        parts += ["### Score by task\n", scores(summary, setting).markdown()]
        parts += ["### Test loss by task\n", losses(summary, setting).markdown()]
    return "\n".join(parts)


def terminal(summary: Summary) -> Table:
    """The main table of every setting, one below the other, for a terminal."""
    settings = compared_settings(summary)
    sheets = [standings(summary, setting) for setting in settings]
    if len(sheets) == 1:
        return sheets[0].terminal()
    rows = []
    for setting, sheet in zip(settings, sheets, strict=True):
        blank = [Cell("")] * (len(sheet.head) - 1)
        rows += [(Cell(describe(setting), best=True), *blank), *sheet.rows]
    head = sheets[0].head if sheets else ("nothing to compare yet",)
    return Sheet(head, tuple(rows)).terminal()


# ---------------------------------------------------------------- tables


def standings(summary: Summary, setting: Setting) -> Sheet:
    """The main table: one row for each optimizer, the lowest mean rank first."""
    names = ranked(summary, setting)
    of = {name: summary.standings[setting, name] for name in names}
    ranks = _estimates([of[name].rank for name in names], 2)
    scores = _estimates([of[name].score for name in names], 3)
    speedups = _estimates([of[name].speedup for name in names], 2, highest=True)
    if summary.reference in names:
        place = names.index(summary.reference)
        speedups[place] = speedups[place]._replace(note="reference")
    wins = _marked([of[name].wins for name in names], "{:.0f}", highest=True)
    tolerances = _marked([of[name].tolerance for name in names], "{:.1f}", highest=True)
    rows = []
    for i, name in enumerate(names):
        standing, cost = of[name], summary.results.costs.get(name)
        rows.append(
            (
                Cell(name),
                ranks[i],
                scores[i],
                speedups[i],
                wins[i],
                Cell(percent(standing.diverged, standing.trainings)),
                tolerances[i],
                Cell(str(standing.at_edge)),
                Cell(f"{cost.step_time:.1f}×" if cost else ""),
                Cell(f"{cost.state:.1f}×" if cost else ""),
            )
        )
    head = ("optimizer", "rank", "score", "speed-up", "wins", "diverged", "tolerance", "at edge")
    return Sheet((*head, "step time", "state"), tuple(rows))


def overview(summary: Summary) -> Sheet:
    """Mean rank of every optimizer in every setting."""
    results = summary.results
    rows = []
    for setting in compared_settings(summary):
        ranks = [summary.standings[setting, name].rank for name in results.optimizers]
        rows.append((Cell(describe(setting)), *_estimates(ranks, 2)))
    return Sheet(("setting", *results.optimizers), tuple(rows))


def scores(summary: Summary, setting: Setting) -> Sheet:
    """The score of every optimizer on every task."""
    return _per_task(summary, setting, "score", _score)


def losses(summary: Summary, setting: Setting) -> Sheet:
    """The final test loss of every optimizer on every task, mean over seeds."""
    return _per_task(summary, setting, "test", lambda loss: f"{loss:#.4g}".rstrip("."))


def _score(score: float) -> str:
    return f"{score:.3f}" if score >= 0.001 or score == 0 else f"{score:.1e}"


def _per_task(
    summary: Summary, setting: Setting, field: str, form: Callable[[float], str]
) -> Sheet:
    results = summary.results
    rows = []
    for task in compared_tasks(results, setting):
        outcomes = [summary.outcomes[task, setting, name] for name in results.optimizers]
        # By score: a mean loss is only of the seeds that did not diverge.
        lowest = min(outcome.score for outcome in outcomes)
        cells = [Cell(task)]
        for outcome in outcomes:
            seeds = len(outcome.scores)
            value = getattr(outcome, field)
            text = form(value) if math.isfinite(value) else "–"
            lost = f"{outcome.diverged} of {seeds} diverged" if outcome.diverged else ""
            cells.append(Cell(text, lost, outcome.score == lowest < 1))
        rows.append(tuple(cells))
    return Sheet(("task", *results.optimizers), tuple(rows))


def claims(summary: Summary, setting: Setting) -> Sheet:
    """Every pair of optimizers, the surest difference first."""
    count = len(compared_tasks(summary.results, setting))
    rows = []
    for claim in sorted(map(forward, summary.claims[setting]), key=lambda claim: claim.p):
        equal = count - claim.better - claim.worse
        rows.append(
            (
                Cell(f"{claim.first} – {claim.second}"),
                Cell(f"{claim.better} : {claim.worse}", f"{equal} equal" if equal else ""),
                _interval(claim.difference, "{:+.3f}"),
                Cell(probability(claim.p)),
                Cell(probability(claim.p_adjusted), best=claim.p_adjusted < LEVEL),
            )
        )
    head = ("optimizers", "better : worse", "difference of scores", "p", "p adjusted")
    return Sheet(head, tuple(rows))


# ---------------------------------------------------------------- words


def ranked(summary: Summary, setting: Setting) -> list[str]:
    """The optimizers, the lowest mean rank first."""
    names = summary.results.optimizers
    return sorted(names, key=lambda name: summary.standings[setting, name].rank.value)


def compared_settings(summary: Summary) -> list[Setting]:
    """The settings with tasks that every optimizer was trained on."""
    return [setting for setting in summary.results.settings if setting in summary.claims]


def describe(setting: Setting) -> str:
    """A setting in words: `1× length, cosine`."""
    return f"{setting.length:g}× length, {setting.schedule}"


def forward(claim: Claim) -> Claim:
    """The same claim, with the optimizer first that has the lower score on more tasks."""
    value, low, high = claim.difference
    if (claim.better, value) >= (claim.worse, -value):
        return claim
    return claim._replace(
        first=claim.second,
        second=claim.first,
        better=claim.worse,
        worse=claim.better,
        difference=Interval(-value, -high, -low),
    )


def plural(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(part: int, whole: int) -> str:
    """A share: `0 %` only if there is none of it."""
    if not part or not whole:
        return "0 %"
    return "< 0.1 %" if part / whole < 1e-3 else f"{100 * part / whole:.1f} %"


def probability(p: float) -> str:
    """A p-value in two digits: `0.00042`, and `< 0.0001` below that."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2f}" if p >= 0.1 else f"{p:#.2g}".rstrip(".")


def signed(text: str) -> str:
    """The text of a number with a true minus."""
    return text.replace("-", "−")


def _interval(estimate: Interval, form: str, best: bool = False) -> Cell:
    value = signed(form.format(estimate.value))
    if math.isnan(estimate.low):
        return Cell(value, best=best)
    low, high = (signed(form.format(bound)) for bound in estimate[1:])
    between = " to " if low[0] in "+−" else "–"
    return Cell(value, f"{low}{between}{high}", best)


def _estimates(estimates: Sequence[Interval], digits: int, *, highest: bool = False) -> list[Cell]:
    """Estimates with their intervals; the best of them is marked."""
    best = _extreme([estimate.value for estimate in estimates], highest)
    return [
        _interval(estimate, f"{{:.{digits}f}}", estimate.value == best) for estimate in estimates
    ]


def _marked(values: Sequence[float], form: str, *, highest: bool) -> list[Cell]:
    best = _extreme([value for value in values if math.isfinite(value)], highest)
    return [
        Cell(form.format(value) if math.isfinite(value) else "–", best=value == best)
        for value in values
    ]


def _extreme(values: Iterable[float], highest: bool) -> float:
    return max(values, default=math.nan) if highest else min(values, default=math.nan)
