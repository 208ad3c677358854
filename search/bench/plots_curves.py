"""The figures of a benchmark that are many small ones: a task or a family in each."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

import tasks
from search.bench import measures
from search.bench.results import Facts, Setting, Summary, Trials
from search.bench.summary import compared_tasks
from search.figures import WIDTH, Line, Theme, dress, png

_COLUMNS = 4
_PLOT, _BELOW, _LINE = 0.74, 0.27, 0.115
"""Inches: height of a small plot, of what is below it, and of a line of its title."""

_LOWEST = 1e-7
"""Losses below this part of the trivial loss are drawn at it."""

_NOTE = "validation loss / trivial loss (log scale), over steps"

Stroke = tuple[str, Line]
"""Colour and style of an optimizer's lines."""


def suite_curves(
    theme: Theme, summary: Summary, setting: Setting, optimizers: Sequence[str] | None = None
) -> bytes:
    """Tuned validation curves on every task: mean over seeds, and the range of the seeds.

    Losses are shown as parts of the trivial loss. Of a single optimizer, the trials that were not
    the best are shown as well, faintly.

    Args:
      theme: light or dark.
      summary: the benchmark.
      setting: one of its settings.
      optimizers: names; None for all.
    """
    results = summary.results
    names = results.optimizers if optimizers is None else tuple(optimizers)
    strokes = {name: theme.stroke(results.optimizers.index(name)) for name in names}

    def draw(axes: Axes, task: str) -> None:
        facts = results.tasks[task]
        seen = []
        for name in names:
            trials = results.trials[task, setting, name]
            best = summary.outcomes[task, setting, name].trial
            curves = _curves(trials, facts)
            colour, line = strokes[name]
            steps = [0, *trials.steps]
            if len(names) == 1:
                for other in np.delete(curves, best, axis=0):
                    axes.plot(steps, _mean(other), color=colour, linewidth=0.5, alpha=0.3)
            mean = _mean(curves[best])
            low, high = np.fmin.reduce(curves[best]), np.fmax.reduce(curves[best])
            axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(steps, mean, line, color=colour, linewidth=1.15)
            seen.append(mean)
        _loss_axis(axes, theme, np.concatenate(seen))
        _steps_axis(axes, max(results.trials[task, setting, name].steps[-1] for name in names))

    titles = {
        task: task
        for task in results.tasks
        if all((task, setting, name) in results.trials for name in names)
    }
    return _many(theme, titles, draw, strokes, _NOTE)


def published_curves(theme: Theme, suite: str) -> bytes:
    """The curves that are published with a suite: mean over seeds, and a deviation to each side."""
    curves = tasks.curves(suite)
    names = list(dict.fromkeys(name for of_task in curves.values() for name in of_task))
    strokes = {name: theme.stroke(i) for i, name in enumerate(names)}

    def draw(axes: Axes, task: str) -> None:
        trivial = tasks.get(task).trivial_loss
        means = []
        for name, curve in curves[task].items():
            colour, line = strokes[name]
            mean, spread = np.array([curve.validation, curve.spread]) / trivial
            means.append(np.maximum(mean, _LOWEST))
            low, high = np.maximum(mean - spread, _LOWEST), mean + spread
            axes.fill_between(curve.steps, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(curve.steps, means[-1], line, color=colour, linewidth=1.15)
        _loss_axis(axes, theme, np.concatenate(means))
        _steps_axis(axes, max(curve.steps[-1] for curve in curves[task].values()))

    return _many(theme, {task: task for task in curves}, draw, strokes, _NOTE)


def _steps_axis(axes: Axes, end: int) -> None:
    """From 0 to the end of training, and nothing between."""
    axes.set_xlim(0, end)
    axes.set_xticks((0, end), ("0", f"{end:,}"))
    for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        label.set(horizontalalignment=side)


def sensitivity(theme: Theme, summary: Summary, setting: Setting) -> bytes:
    """Score over learning rate, for each family the mean over its tasks; dots mark the best.

    An optimizer with a single trial is a level line: nothing is known of its sensitivity.
    """
    results = summary.results
    families: dict[str, list[str]] = {}
    for task in compared_tasks(results, setting):
        families.setdefault(results.tasks[task].family, []).append(task)
    everything = [
        trials.hyperparameters["learning_rate"]
        for (_, where, _), trials in results.trials.items()
        if where == setting and len(trials.test) > 1
    ] or [np.ones(1)]
    low, high = min(map(np.min, everything)), max(map(np.max, everything))

    def draw(axes: Axes, family: str) -> None:
        for i, name in enumerate(results.optimizers):
            colour, line = theme.stroke(i)
            curves = [
                _valley(results.trials[task, setting, name], results.tasks[task].trivial_loss)
                for task in families[family]
            ]
            if all(len(scores) == 1 for _, scores in curves):
                level = float(np.mean([scores for _, scores in curves]))
                axes.axhline(level, linestyle=line, color=colour, linewidth=1.15)
                continue
            rates = np.unique(np.concatenate([own for own, _ in curves]))
            score = np.mean(
                [np.interp(np.log(rates), np.log(own), scores) for own, scores in curves], axis=0
            )
            best = score.argmin()
            axes.plot(rates, score, line, color=colour, linewidth=1.15)
            axes.plot(rates[best], score[best], "o", color=colour, markersize=3.4)
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.3)
        axes.set_ylim(0, 1.04)
        axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_minor_locator(NullLocator())

    titles = {
        family: f"{family} ({len(members)})" if len(members) > 1 else family
        for family, members in families.items()
    }
    strokes = {name: theme.stroke(i) for i, name in enumerate(results.optimizers)}
    return _many(theme, titles, draw, strokes, "score on test data, over learning rate")


# ---------------------------------------------------------------- what is drawn


def _curves(trials: Trials, facts: Facts) -> np.ndarray:
    """Validation losses over the trivial loss from step 0 on: (T, S, P + 1).

    They are NaN from where they are not finite, and throughout for seeds that diverged: a mean over
    fewer and fewer seeds would look like progress.
    """
    start = np.full((*trials.test.shape, 1), facts.initial_loss)
    curves = np.concatenate([start, trials.validation], axis=-1) / facts.trivial_loss
    curves[measures.diverged(trials)] = np.nan
    return np.maximum(curves, _LOWEST)


def _mean(curves: np.ndarray) -> np.ndarray:
    """Mean over the seeds (S, P) that did not diverge; NaN if all did."""
    kept = curves[~np.isnan(curves[:, 0])]
    return kept.mean(axis=0) if len(kept) else np.full(curves.shape[1], np.nan)


def _valley(trials: Trials, trivial_loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates, ascending, and the best mean score of each.

    Rates that were drawn together with other hyperparameters are taken together by half decades.
    """
    rates = trials.hyperparameters["learning_rate"]
    scores = measures.scores(trials, trivial_loss).mean(axis=1)
    if len(trials.hyperparameters) > 1:
        rates = 10 ** (np.floor(2 * np.log10(rates)) / 2 + 0.25)
    distinct, which = np.unique(rates, return_inverse=True)
    lowest = np.full(len(distinct), np.inf)
    np.minimum.at(lowest, which, scores)
    return distinct, lowest


def _loss_axis(axes: Axes, theme: Theme, losses: np.ndarray) -> None:
    """A logarithmic axis around the losses, cut off a little above the trivial one."""
    losses = losses[np.isfinite(losses)]
    low = 0.93 * losses.min(initial=0.9)
    high = min(1.15, 1.05 * losses.max(initial=1.0))
    axes.set_yscale("log")
    axes.set_ylim(min(low, 0.9 * high), high)
    axes.axhline(1, color=theme.faint, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.yaxis.set_minor_locator(NullLocator())
    ticks = _ticks(*axes.get_ylim())
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    labels = [f"{tick:g}" if tick >= 0.01 else f"{tick:.0e}" for tick in ticks]
    axes.set_yticklabels([label.replace("e-0", "e-") for label in labels])


def _ticks(low: float, high: float) -> list[float]:
    """Two or three round numbers in a range."""
    for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= high]
        if len(found) >= 2:
            step = math.ceil(len(found) / 3)
            return found[::-1][::step]
    step = 0.05 if high - low > 0.1 else 0.01
    found = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
    return found[:: -max(1, math.ceil(len(found) / 3))].tolist()


# ---------------------------------------------------------------- many small plots


def _many(
    theme: Theme,
    titles: dict[str, str],
    draw: Callable[[Axes, str], None],
    strokes: Mapping[str, Stroke],
    note: str,
) -> bytes:
    """Small plots in rows, with one legend above all.

    Everything is placed by hand: a layout engine would take most of the time.
    """
    shown = {key: shortened(title) for key, title in titles.items()}
    pitch = _PLOT + _BELOW + _LINE * (1.5 + max(title.count("\n") + 1 for title in shown.values()))
    legend_rows = -(-len(strokes) // 5)
    top = 0.2 + 0.2 * legend_rows
    height = top + -(-len(titles) // _COLUMNS) * pitch
    figure = Figure(figsize=(WIDTH, height), facecolor=theme.page)
    width, left = WIDTH / _COLUMNS, 0.34
    for place, (key, title) in enumerate(shown.items()):
        row, column = divmod(place, _COLUMNS)
        lower = height - top - (row + 1) * pitch + _BELOW
        axes = figure.add_axes(
            (
                (column * width + left) / WIDTH,
                lower / height,
                (width - left - 0.06) / WIDTH,
                _PLOT / height,
            )
        )
        dress(axes, theme)
        draw(axes, key)
        axes.tick_params(labelsize=6.5, length=2, pad=1.5)
        axes.text(
            0, 1.05, title, transform=axes.transAxes, fontsize=6.5, color=theme.ink,
            va="bottom", linespacing=1.1,
        )  # fmt: skip
    handles = []
    for name, (colour, line) in strokes.items():
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.8, label=name))
    legend = figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.002, 1), ncols=5, frameon=False,
        fontsize=8.5, handlelength=1.6, columnspacing=1.6, borderaxespad=0, borderpad=0.1,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(theme.ink)
    figure.text(
        0.005, (height - 0.2 * legend_rows - 0.03) / height, note, fontsize=7.5, color=theme.faint,
        va="top",
    )  # fmt: skip
    return png(figure, colours=256)


def shortened(name: str, width: int = 27) -> str:
    """A name in at most two lines, broken at its underscores, with dots for what does not fit."""
    lines = [""]
    for part in re.findall(r"[^_ ]*[_ ]?", name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    shown = [line[: width - 1] + "…" if len(line) > width else line for line in lines[:2]]
    if len(lines) > 2:
        shown[-1] = shown[-1][: width - 1] + "…"
    return "\n".join(line.rstrip() for line in shown)
