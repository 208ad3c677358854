"""The figures of a benchmark, as PNG: optimizers over all tasks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from search.bench.plots_curves import sensitivity, suite_curves
from search.bench.results import Setting, Summary
from search.bench.summary import compared_tasks
from search.bench.tables import LEVEL, compared_settings, ranked
from search.figures import THEMES, Theme, png, side_labels, single

_FASTEST = 32.0
"""Speed-ups beyond this, or below its reciprocal, are drawn at the edge."""


def figures(summary: Summary) -> dict[str, bytes]:
    """All figures of a benchmark, light and dark.

    Returns:
      File name -> PNG; the names are `KIND_SETTING.png` and `KIND_SETTING-dark.png`, where SETTING
      is `slug(setting)`.
    """
    kinds = {
        "ranks": ranks,
        "profiles": profiles,
        "speedups": speedups,
        "sensitivity": sensitivity,
        "curves": suite_curves,
    }
    return {
        f"{kind}_{slug(setting)}{suffix}.png": draw(theme, summary, setting)
        for setting in compared_settings(summary)
        for kind, draw in kinds.items()
        for suffix, theme in THEMES.items()
    }


def slug(setting: Setting) -> str:
    """A setting as part of a file's name: `1x_cosine`."""
    return f"{setting.length:g}x_{setting.schedule}"


def ranks(theme: Theme, summary: Summary, setting: Setting) -> bytes:
    """Mean ranks with their intervals; bars join what the tests cannot tell apart.

    Reference: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006,
      of whose diagrams this is one with an interval for each rank.
    """
    names = ranked(summary, setting)
    figure, axes = single(theme, 0.8 + 0.3 * len(names))
    for row, name in enumerate(names):
        rank = summary.standings[setting, name].rank
        colour, _ = theme.stroke(summary.results.optimizers.index(name))
        axes.plot(rank[1:], (row, row), color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(rank.value, row, "o", color=colour, markersize=7, markeredgecolor=theme.page)
    joined = _joined(summary, setting, names)
    for column, (first, last) in enumerate(joined):
        axes.plot(
            (1.025 + 0.022 * column,) * 2, (first - 0.18, last + 0.18), color=theme.faint,
            linewidth=3, transform=axes.get_yaxis_transform(), clip_on=False,
            solid_capstyle="round",
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=theme.ink, labelsize=9)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0.9, max(2, len(names)) + 0.1)
    axes.xaxis.set_major_locator(FixedLocator(range(1, len(names) + 1)))
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=theme.grid, linewidth=0.7)
    axes.set_xlabel("mean rank by score (1 is best)")
    return png(figure)


def _joined(summary: Summary, setting: Setting, names: Sequence[str]) -> list[tuple[int, int]]:
    """Longest runs of neighbours in rank of whom no two differ: first and last place."""
    differ = {
        frozenset((claim.first, claim.second))
        for claim in summary.claims[setting]
        if claim.p_adjusted < LEVEL
    }

    def alike(first: int, last: int) -> bool:
        group = names[first : last + 1]
        return not any(pair <= set(group) for pair in differ)

    count = len(names)
    ends = [max(j for j in range(i, count) if alike(i, j)) for i in range(count)]
    return [(i, end) for i, end in enumerate(ends) if end > i and (i == 0 or ends[i - 1] < end)]


def profiles(theme: Theme, summary: Summary, setting: Setting) -> bytes:
    """Performance profiles: tasks solved within x times the steps of the fastest.

    Reference: Dolan and More, "Benchmarking optimization software with performance profiles",
      Mathematical Programming 2002 (arXiv cs/0102001).
    """
    figure, axes = single(theme, 3.5)
    factors, fractions = summary.profiles[setting]
    end = max(2, 1.1 * factors[-1])
    labels = []
    for i, name in enumerate(summary.results.optimizers):
        colour, line = theme.stroke(i)
        shares = [*fractions[name], fractions[name][-1]]
        axes.step([*factors, end], shares, line, where="post", color=colour, linewidth=1.7)
        labels.append((name, float(fractions[name][-1]), colour))
    axes.set_xscale("log")
    axes.set_xlim(1, end)
    axes.set_ylim(0, 1.02)
    ticks = [t for t in (1, 1.5, 2, 3, 5, 10, 20, 50, 100) if t <= end]
    _log_ticks(axes, "x", ticks)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    side_labels(axes, labels)
    axes.set_xlabel("steps allowed, as a multiple of those of the fastest optimizer")
    axes.set_ylabel("tasks solved")
    return png(figure)


def speedups(theme: Theme, summary: Summary, setting: Setting) -> bytes:
    """Speed-ups over the reference of all tasks, sorted for each optimizer."""
    results = summary.results
    tasks = compared_tasks(results, setting)
    figure, axes = single(theme, 3.5)
    labels = []
    for i, name in enumerate(results.optimizers):
        if name == summary.reference:
            continue
        colour, line = theme.stroke(i)
        outcomes = [summary.outcomes[task, setting, name] for task in tasks]
        outcomes.sort(key=lambda outcome: outcome.speedup)
        factors = np.clip([outcome.speedup for outcome in outcomes], 1 / _FASTEST, _FASTEST)
        share = (np.arange(len(outcomes)) + 0.5) / len(outcomes)
        reached = np.isfinite([outcome.target_steps for outcome in outcomes])
        axes.plot(share, factors, line, color=colour, linewidth=1.3)
        for chosen, face in ((reached, colour), (~reached, theme.page)):
            axes.plot(
                share[chosen], factors[chosen], "o", markersize=3.6, markerfacecolor=face,
                markeredgecolor=colour, markeredgewidth=0.9,
            )  # fmt: skip
        labels.append((name, float(factors[-1]), colour))
    colour, _ = theme.stroke(results.optimizers.index(summary.reference))
    axes.axhline(1, color=colour, linewidth=1.3)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.45), max(high, 2.2))
    axes.set_xlim(0, 1)
    low, high = axes.get_ylim()
    ticks = [2.0**k for k in range(-5, 6) if low <= 2.0**k <= high]
    _log_ticks(axes, "y", ticks)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    side_labels(axes, [*labels, (summary.reference, 1.0, colour)])
    axes.set_xlabel("tasks, from the slowest to the fastest for each optimizer")
    axes.set_ylabel(f"speed-up over {summary.reference}")
    return png(figure)


def _log_ticks(axes: Axes, which: str, ticks: Sequence[float]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_multiple))


def _multiple(value: float, _: object) -> str:
    """A factor as people write it: 4×, 1.5×, 1/8×."""
    return f"{value:g}×" if value >= 1 else f"1/{1 / value:g}×"
