"""The figures of a report, as PNG."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from search.evolve import Counts
from search.store import RoundRecord

WIDTH, DPI = 7.2, 200
_BARS = 60
"""At most so many bars; beyond, several rounds share one."""


@dataclass(frozen=True)
class Theme:
    """Colours: of the page, and Okabe and Ito's, which colour-blind people can tell apart."""

    page: str
    ink: str
    faint: str
    grid: str
    best: str
    lines: tuple[str, ...]
    fates: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#1d2127", "#69717d", "#e6e8eb", "#0072b2",
    ("#69717d", "#d55e00", "#009e73"),
    ("#0072b2", "#56b4e9", "#d55e00", "#c9ced6", "#e69f00"),
)  # fmt: skip
DARK = Theme(
    "#14171c", "#e4e7eb", "#98a1ad", "#2b3038", "#56b4e9",
    ("#98a1ad", "#e8834a", "#2fc29b"),
    ("#56b4e9", "#2a78a8", "#e8834a", "#4a515c", "#e6b04a"),
)  # fmt: skip
THEMES = {"": LIGHT, "-dark": DARK}
"""Theme by the suffix of its files' names."""

FATES = ("trained to the end", "stopped: learned nothing", "diverged", "duplicate", "illegal")


def search_curve(
    theme: Theme,
    fitness: np.ndarray,
    per_candidate: int,
    lines: Sequence[tuple[str, float]],
) -> bytes:
    """Best fitness so far and every candidate over trainings, with horizontal reference lines."""
    figure, axes = _figure(theme, 3.7)
    trainings = per_candidate * np.arange(1, len(fitness) + 1)
    best = np.maximum.accumulate(fitness)
    low, high = _window(fitness, [value for _, value in lines])
    shown = (fitness >= low) & np.isfinite(fitness)
    axes.plot(
        trainings[shown], fitness[shown], ".", color=theme.best, alpha=0.3, markersize=4,
        markeredgewidth=0, rasterized=True,
    )  # fmt: skip
    axes.step(trainings, best, where="post", color=theme.best, linewidth=1.8)
    labels = [("best so far", float(best[-1]), theme.best)]
    for i, (name, value) in enumerate(lines):
        colour = theme.lines[i % len(theme.lines)]
        axes.axhline(value, color=colour, linewidth=1.2, linestyle=("--", "-", "-.")[i % 3])
        labels.append((name, value, colour))
    axes.set_ylim(low, high)
    axes.set_xlim(0, max(2, trainings[-1]))
    _side_labels(axes, labels)
    axes.set_xlabel("trainings")
    axes.set_ylabel("fitness on validation data")
    axes.xaxis.set_major_formatter(_thousands())
    return _png(figure)


def hidden_below(fitness: np.ndarray, lines: Sequence[tuple[str, float]]) -> int:
    """How many candidates lie below what the search curve shows."""
    low, _ = _window(fitness, [value for _, value in lines])
    return int(np.sum(~(fitness >= low)))


def fates(theme: Theme, records: Sequence[RoundRecord]) -> bytes:
    """What became of the programs generated, as shares over the rounds."""
    figure, axes = _figure(theme, 3.1)
    bins = _bins(records)
    shares = np.array([fate_counts(counts) for _, counts, _ in bins], float)
    shares *= 100 / np.maximum(1, shares.sum(axis=1, keepdims=True))
    first = np.array([numbers[0] for numbers, _, _ in bins])
    widths = np.array([numbers[1] - numbers[0] + 1 for numbers, _, _ in bins])
    bottom = np.zeros(len(bins))
    for name, share, colour in zip(FATES, shares.T, theme.fates, strict=True):
        axes.bar(
            first - 0.5, share, widths, bottom=bottom, align="edge", color=colour, label=name,
            edgecolor=theme.page, linewidth=0.5 if len(bins) < 80 else 0,
        )  # fmt: skip
        bottom += share
    axes.set_xlim(first[0] - 0.5, first[-1] + widths[-1] - 0.5)
    axes.set_ylim(0, 100)
    axes.set_xlabel("round")
    axes.set_ylabel("% of programs generated")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False)
    legend = axes.legend(
        loc="lower center", bbox_to_anchor=(0.47, 1.0), ncols=3, frameon=False, fontsize=8.5,
        handlelength=1, handleheight=1, columnspacing=1.6,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(theme.ink)
    return _png(figure)


def throughput(theme: Theme, records: Sequence[RoundRecord]) -> bytes:
    """Programs generated and trainings a second, over the time spent in rounds."""
    figure, upper, lower = _figure_of_two(theme)
    bins = _bins(records)
    seconds = np.array([spent for _, _, spent in bins])
    ends = np.cumsum(seconds)
    unit, scale = _time_unit(ends[-1])
    edges = np.concatenate([[0.0], ends]) / scale
    kinds: tuple[tuple[Axes, str, Callable[[Counts], int], str], ...] = (
        (upper, "programs", lambda c: c.generated, theme.best),
        (lower, "trainings", lambda c: c.trainings, theme.lines[1]),
    )
    for axes, name, of, colour in kinds:
        rate = np.array([of(counts) for _, counts, _ in bins]) / np.maximum(seconds, 1e-9)
        axes.stairs(rate, edges, color=colour, linewidth=1.6)
        axes.stairs(rate, edges, color=colour, fill=True, alpha=0.12)
        axes.set_ylim(0, 1.15 * rate.max() if rate.max() else 1)
        axes.set_xlim(0, edges[-1])
        axes.set_ylabel(f"{name} a second")
        axes.yaxis.set_major_formatter(_thousands())
        axes.yaxis.set_major_locator(MaxNLocator(4))
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(f"{unit} in rounds")
    figure.align_ylabels([upper, lower])
    return _png(figure)


def fate_counts(counts: Counts) -> tuple[int, ...]:
    """The numbers of programs by fate, in the order of `FATES`."""
    finished = counts.evaluated - counts.stopped - counts.diverged
    return finished, counts.stopped, counts.diverged, counts.duplicates, counts.illegal


# ---------------------------------------------------------------- helpers


def _window(fitness: np.ndarray, lines: Sequence[float]) -> tuple[float, float]:
    """The range of fitness that is worth showing: where best and lines are, and some below."""
    high = max([float(np.max(fitness)), *lines])
    low = min([float(fitness[0]), *lines])
    span = max(high - low, 1e-3)
    learned = fitness[fitness > 0]
    crowd = float(np.quantile(learned, 0.25)) if len(learned) else low
    return min(low - 0.3 * span, max(crowd, low - 2 * span)), high + 0.06 * span


def _bins(records: Sequence[RoundRecord]) -> list[tuple[tuple[int, int], Counts, float]]:
    """Rounds from 1 in at most `_BARS` groups: first and last number, counts, seconds."""
    rounds = [record for record in records if record.number > 0]
    size = -(-len(rounds) // _BARS)
    groups = [rounds[i : i + size] for i in range(0, len(rounds), max(1, size))]
    return [
        (
            (group[0].number, group[-1].number),
            sum((record.counts for record in group), Counts()),
            sum(record.seconds for record in group),
        )
        for group in groups
    ]


def _side_labels(axes: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Name lines at the right edge, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    gap = 0.062 * (high - low)
    place = -np.inf
    for name, value, colour in sorted(labels, key=lambda label: label[1]):
        place = max(value, place + gap)
        axes.annotate(
            f"{name}  {value:.4f}", (1.0, place), xycoords=("axes fraction", "data"),
            xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5, color=colour,
            annotation_clip=False,
        )  # fmt: skip


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def _figure(theme: Theme, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), facecolor=theme.page, layout="constrained")
    axes = figure.add_subplot()
    _dress(axes, theme)
    return figure, axes


def _figure_of_two(theme: Theme) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(WIDTH, 3.6), facecolor=theme.page, layout="constrained")
    upper = figure.add_subplot(2, 1, 1)
    lower = figure.add_subplot(2, 1, 2)
    for axes in (upper, lower):
        _dress(axes, theme)
    return figure, upper, lower


def _dress(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.page)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
        spine.set_linewidth(0.7)
    axes.tick_params(colors=theme.faint, labelsize=8.5, width=0.7, length=3)
    axes.xaxis.label.set(color=theme.ink, fontsize=9)
    axes.yaxis.label.set(color=theme.ink, fontsize=9)
    axes.grid(axis="y", color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)


def _thousands() -> FuncFormatter:
    def text(value: float, _: object) -> str:
        return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"

    return FuncFormatter(text)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # No software version inside: the same campaign gives the same bytes.
    figure.savefig(
        buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor(), metadata={"Software": None}
    )
    return buffer.getvalue()
