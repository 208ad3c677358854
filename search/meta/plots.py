"""The figures of a meta-training's report, as PNG."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from search.figures import Theme, blank, dress, png, rates, side_labels, single, thousands
from search.meta import summary
from search.meta.config import MetaConfig
from search.meta.curriculum import lengths, progress
from search.meta.store import Validation
from search.meta.train import Record

_BARS = 60
"""At most so many stretches of time in a plot of rates."""

_COLUMNS = 4
_MANY = 8.0
"""A curve that falls to less than one part in so many is drawn on a logarithmic axis."""

_SHOWN = (0.5, 99.5)
"""Percentiles of single meta-updates' losses that are always shown."""


def loss(theme: Theme, records: Sequence[Record], levels: Mapping[str, float]) -> bytes:
    """The meta-loss of each meta-update, smoothed, and the levels that it is held against."""
    figure, axes = single(theme, 3.7)
    raw = summary.losses(records)
    curve = summary.smooth(raw, summary.window(len(raw)))
    at = np.arange(1, len(raw) + 1)
    _dots(axes, theme, at, raw)
    axes.plot(at, curve, color=theme.best, linewidth=1.8)
    labels = [(f"meta-loss  {curve[-1]:.4f}", float(curve[-1]), theme.best)]
    for i, (name, value) in enumerate(levels.items()):
        colour = theme.lines[i % len(theme.lines)]
        axes.axhline(value, color=colour, linewidth=1.2, linestyle="--")
        labels.append((f"{name}  {value:.4g}", value, colour))
    shown = [*curve, *levels.values(), *np.percentile(raw, _SHOWN)]
    _scale(axes, shown, curve)
    _along_updates(axes, len(raw))
    side_labels(axes, labels)
    axes.set_ylabel("meta-loss")
    return png(figure)


def families(theme: Theme, records: Sequence[Record], level: float | None) -> bytes:
    """The meta-loss on each family of tasks, small plots side by side."""
    found = summary.family_losses(records)
    rows = -(-len(found) // _COLUMNS)
    figure = blank(theme, 0.4 + 1.45 * rows)
    every = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes, (family, (at, raw)) in zip(every, found.items(), strict=False):
        dress(axes, theme)
        curve = summary.smooth(raw, summary.window(len(raw)))
        _dots(axes, theme, at + 1, raw)
        axes.plot(at + 1, curve, color=theme.best, linewidth=1.4)
        # A level that is far from everything else would only press the curve flat.
        shown = [*curve, *np.percentile(raw, (5, 95))]
        if level is not None and level < 3 * max(shown):
            axes.axhline(level, color=theme.lines[1], linewidth=1, linestyle="--")
            shown.append(level)
        _scale(axes, shown, curve)
        axes.set_title(family, fontsize=8.5, color=theme.ink)
        axes.set_xlim(0, max(2, len(records)))
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes.tick_params(labelsize=7)
    for axes in every[len(found) :]:
        axes.set_visible(False)
    figure.supxlabel("meta-update", fontsize=9, color=theme.ink)
    return png(figure)


def gradient(theme: Theme, records: Sequence[Record]) -> bytes:
    """The norm of the gradient estimates, before they are cut."""
    norms = np.array([record.norm for record in records], float)
    figure, axes = single(theme, 2.7)
    at = np.arange(1, len(norms) + 1)
    usable = np.isfinite(norms) & (norms > 0)
    _logarithmic(axes)
    if usable.any():
        logs = summary.smooth(np.log(norms[usable]), summary.window(len(norms)))
        _dots(axes, theme, at[usable], norms[usable])
        axes.plot(at[usable], np.exp(logs), color=theme.best, linewidth=1.6)
    _along_updates(axes, len(norms))
    axes.set_ylabel("norm of the gradient")
    return png(figure)


def curriculum(theme: Theme, config: MetaConfig, count: int) -> bytes:
    """From where to where lengths of trainings are drawn, and how many of the tasks."""
    figure, axes = single(theme, 2.7)
    at = np.unique(np.linspace(0, config.steps - 1, 200).round())
    bounds = [lengths(config.curriculum, int(step)) for step in at]
    low = np.array([float(bound.shortest) for bound in bounds])
    high = np.array([float(bound.longest) for bound in bounds])
    axes.fill_between(at + 1, low, high, color=theme.best, alpha=0.25, linewidth=0)
    _logarithmic(axes)
    labels = [
        (f"longest  {high[-1]:,.0f}", float(high[-1]), theme.best),
        (f"shortest  {low[-1]:,.0f}", float(low[-1]), theme.best),
    ]
    axes.plot(at + 1, high, color=theme.best, linewidth=1.4)
    axes.plot(at + 1, low, color=theme.best, linewidth=1.4)
    if count < config.steps:
        axes.axvline(count, color=theme.faint, linewidth=1, linestyle=":")
    _along_updates(axes, config.steps)
    axes.set_ylabel("inner steps of a training")
    small = config.curriculum.small
    if small < 1.0:
        shares = [small ** (1 - progress(config.curriculum, int(step))) for step in at]
        right = axes.twinx()
        right.plot(at + 1, shares, color=theme.lines[1], linewidth=1.4, linestyle="--")
        right.set_ylim(0, 1.05)
        right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        right.tick_params(colors=theme.lines[1], labelsize=8.5, width=0.7, length=3)
        right.set_ylabel("tasks drawn from", color=theme.lines[1], fontsize=9)
        right.spines[:].set_visible(False)
    else:
        side_labels(axes, labels)
    return png(figure)


def broken(theme: Theme, records: Sequence[Record]) -> bytes:
    """The share of losses that were not finite."""
    figure, axes = single(theme, 2.2)
    shares = np.maximum(summary.broken(records), 0.0)
    at = np.arange(1, len(shares) + 1)
    axes.vlines(at, 0, shares, color=theme.lines[1], linewidth=0.8)
    axes.set_ylim(0, max(0.01, 1.1 * shares.max()))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    _along_updates(axes, len(shares))
    axes.set_ylabel("losses not finite")
    return png(figure)


def throughput(theme: Theme, records: Sequence[Record]) -> bytes:
    """Meta-updates and inner steps a second, over the time spent in meta-updates."""
    size = -(-len(records) // _BARS)
    groups = [records[i : i + size] for i in range(0, len(records), size)]
    seconds = np.array([sum(record.seconds for record in group) for group in groups])
    safe = np.maximum(seconds, 1e-9)
    updates = np.array([len(group) for group in groups]) / safe
    steps = np.array([summary.inner_steps(group) for group in groups]) / safe
    rows = (("meta-updates", updates, theme.best), ("inner steps", steps, theme.lines[1]))
    return rates(theme, seconds, rows, "meta-updates")


def validation(theme: Theme, found: Sequence[Validation], count: int) -> bytes:
    """The score on the suite `validation`, and the best one."""
    figure, axes = single(theme, 2.7)
    at = [one.step for one in found]
    scores = [one.score for one in found]
    best = int(np.argmin(scores))
    axes.plot(at, scores, "o-", color=theme.best, linewidth=1.4, markersize=3.5, clip_on=False)
    axes.plot(at[best], scores[best], "o", color=theme.lines[2], markersize=7, clip_on=False)
    _scale(axes, scores, np.array(scores))
    _along_updates(axes, max(count, at[-1]))
    side_labels(axes, [(f"best  {scores[best]:.4f}", scores[best], theme.lines[2])])
    axes.set_ylabel("validation")
    return png(figure)


# ---------------------------------------------------------------- helpers


def _dots(axes: Axes, theme: Theme, at: np.ndarray, values: np.ndarray) -> None:
    axes.plot(
        at, values, ".", color=theme.best, alpha=0.25, markersize=3, markeredgewidth=0,
        rasterized=True,
    )  # fmt: skip


def _along_updates(axes: Axes, count: int) -> None:
    axes.set_xlim(0, max(2, count))
    axes.set_xlabel("meta-update")
    axes.xaxis.set_major_formatter(thousands())
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(thousands())


def _scale(axes: Axes, shown: Sequence[float], curve: np.ndarray) -> None:
    """Limits that show some values; logarithmic where a curve falls far."""
    low, high = float(np.min(shown)), float(np.max(shown))
    if low > 0 and float(curve.max()) > _MANY * float(curve.min()):
        _logarithmic(axes)
        axes.set_ylim(low / 1.15, high * 1.15)
        return
    margin = 0.06 * max(high - low, 1e-3 * max(abs(high), 1e-9))
    axes.set_ylim(low - margin, high + margin)
