"""The figures of a report, as PNG."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from search.evolve import Counts
from search.figures import Theme, png, rates, side_labels, single, thousands
from search.store import RoundRecord

_BARS = 60
"""At most so many bars; beyond, several rounds share one."""


FATES = ("trained to the end", "stopped: learned nothing", "diverged", "duplicate", "illegal")


def search_curve(
    theme: Theme,
    fitness: np.ndarray,
    per_candidate: int,
    lines: Sequence[tuple[str, float]],
) -> bytes:
    """Best fitness so far and every candidate over trainings, with horizontal reference lines."""
    figure, axes = single(theme, 3.7)
    trainings = per_candidate * np.arange(1, len(fitness) + 1)
    best = np.maximum.accumulate(fitness)
    low, high = _window(fitness, [value for _, value in lines])
    shown = (fitness >= low) & np.isfinite(fitness)
    axes.plot(
        trainings[shown], fitness[shown], ".", color=theme.best, alpha=0.3, markersize=4,
        markeredgewidth=0, rasterized=True,
    )  # fmt: skip
    axes.step(trainings, best, where="post", color=theme.best, linewidth=1.8)
    labels = [(f"best so far  {best[-1]:.4f}", float(best[-1]), theme.best)]
    for i, (name, value) in enumerate(lines):
        colour = theme.lines[i % len(theme.lines)]
        axes.axhline(value, color=colour, linewidth=1.2, linestyle=("--", "-", "-.")[i % 3])
        labels.append((f"{name}  {value:.4f}", value, colour))
    axes.set_ylim(low, high)
    axes.set_xlim(0, max(2, trainings[-1]))
    side_labels(axes, labels, upward=True)
    axes.set_xlabel("trainings")
    axes.set_ylabel("fitness on validation data")
    axes.xaxis.set_major_formatter(thousands())
    return png(figure)


def hidden_below(fitness: np.ndarray, lines: Sequence[tuple[str, float]]) -> int:
    """How many candidates lie below what the search curve shows."""
    low, _ = _window(fitness, [value for _, value in lines])
    return int(np.sum(~(fitness >= low)))


def fates(theme: Theme, records: Sequence[RoundRecord]) -> bytes:
    """What became of the programs generated, as shares over the rounds."""
    figure, axes = single(theme, 3.1)
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
    return png(figure)


def throughput(theme: Theme, records: Sequence[RoundRecord]) -> bytes:
    """Programs generated and trainings a second, over the time spent in rounds."""
    bins = _bins(records)
    seconds = np.array([spent for _, _, spent in bins])

    def rate(of: Callable[[Counts], int]) -> np.ndarray:
        return np.array([of(counts) for _, counts, _ in bins]) / np.maximum(seconds, 1e-9)

    rows = (
        ("programs", rate(lambda c: c.generated), theme.best),
        ("trainings", rate(lambda c: c.trainings), theme.lines[1]),
    )
    return rates(theme, seconds, rows, "rounds")


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
