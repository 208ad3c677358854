"""What all figures share: colours of the page, light and dark, axes, and PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

WIDTH, DPI = 7.2, 200

Line = Literal["-", "--", ":"]
_LINES: tuple[Line, ...] = ("-", "--", ":")


@dataclass(frozen=True)
class Theme:
    """Colours: of the page, and Okabe and Ito's, which colour-blind people can tell apart.

    Attributes:
      page: behind everything.
      ink: of text.
      faint: of axes and their numbers.
      grid: of grid lines.
      best: of what matters most.
      lines: of reference lines.
      fates: of what became of programs, in the order of `report_plots.FATES`.
      palette: of things that are compared; see `stroke` for more of them than colours.
    """

    page: str
    ink: str
    faint: str
    grid: str
    best: str
    lines: tuple[str, ...]
    fates: tuple[str, ...]
    palette: tuple[str, ...]

    def stroke(self, index: int) -> tuple[str, Line]:
        """Colour and line style of the thing with that index, different for the first 21."""
        again, colour = divmod(index, len(self.palette))
        return self.palette[colour], _LINES[again % len(_LINES)]


LIGHT = Theme(
    "#ffffff", "#1d2127", "#69717d", "#e6e8eb", "#0072b2",
    ("#69717d", "#d55e00", "#009e73"),
    ("#0072b2", "#56b4e9", "#d55e00", "#c9ced6", "#e69f00"),
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4a515c"),
)  # fmt: skip
DARK = Theme(
    "#14171c", "#e4e7eb", "#98a1ad", "#2b3038", "#56b4e9",
    ("#98a1ad", "#e8834a", "#2fc29b"),
    ("#56b4e9", "#2a78a8", "#e8834a", "#4a515c", "#e6b04a"),
    ("#3d9fe0", "#e8743b", "#2fc29b", "#e08fbd", "#f0b84a", "#8fd3fa", "#b4bcc8"),
)  # fmt: skip
THEMES = {"": LIGHT, "-dark": DARK}
"""Theme by the suffix of its files' names."""


def blank(theme: Theme, height: float) -> Figure:
    """An empty figure as wide as a page, `height` inches high."""
    return Figure(figsize=(WIDTH, height), facecolor=theme.page, layout="constrained")


def single(theme: Theme, height: float) -> tuple[Figure, Axes]:
    """A figure of one plot."""
    figure = blank(theme, height)
    axes = figure.add_subplot()
    dress(axes, theme)
    return figure, axes


def dress(axes: Axes, theme: Theme) -> None:
    """Give axes the colours of the page, and only the lines that they need."""
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


def rates(
    theme: Theme, seconds: np.ndarray, rows: Sequence[tuple[str, np.ndarray, str]], spent: str
) -> bytes:
    """What was done a second, over time: a plot below the other for each kind of thing.

    Args:
      theme: the colours.
      seconds: float64 (n,), how long each stretch of time was.
      rows: what was done, its rate in each stretch, a colour.
      spent: what the time was spent in.
    """
    figure = blank(theme, 1.8 * len(rows))
    every = [figure.add_subplot(len(rows), 1, i + 1) for i in range(len(rows))]
    ends = np.cumsum(seconds)
    unit, scale = _time_unit(ends[-1])
    edges = np.concatenate([[0.0], ends]) / scale
    for axes, (name, rate, colour) in zip(every, rows, strict=True):
        dress(axes, theme)
        axes.stairs(rate, edges, color=colour, linewidth=1.6)
        axes.stairs(rate, edges, color=colour, fill=True, alpha=0.12)
        axes.set_ylim(0, 1.15 * rate.max() if rate.max() else 1)
        axes.set_xlim(0, edges[-1])
        axes.set_ylabel(f"{name} a second")
        axes.yaxis.set_major_formatter(thousands())
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelbottom=axes is every[-1])
    every[-1].set_xlabel(f"{unit} in {spent}")
    figure.align_ylabels(every)
    return png(figure)


def _time_unit(seconds: float) -> tuple[str, float]:
    if seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def side_labels(
    axes: Axes, labels: Sequence[tuple[str, float, str]], *, upward: bool = False
) -> None:
    """Name lines at the right edge, apart where the names would overlap.

    Call it once the limits of the axes are set.

    Args:
      axes: where the lines are.
      labels: text, height in data, colour.
      upward: whether names that would overlap only move up.
    """
    labels = sorted(labels, key=lambda label: label[1])
    heights = np.array([[1.0, value] for _, value, _ in labels])
    places = (axes.transScale + axes.transLimits).transform(heights)[:, 1]
    for (text, _, colour), place in zip(labels, _apart(places, 0.062, upward), strict=True):
        axes.annotate(
            text, (1.0, place), xycoords="axes fraction", xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=8.5, color=colour,
            annotation_clip=False,
        )  # fmt: skip


def _apart(places: np.ndarray, gap: float, upward: bool) -> np.ndarray:
    """Ascending places, moved until they are at least a gap apart."""
    steps = gap * np.arange(len(places))
    raised = np.maximum.accumulate(places - steps)
    lowered = np.minimum.accumulate((places - steps)[::-1])[::-1]
    return steps + (raised if upward else (raised + lowered) / 2)


def thousands() -> FuncFormatter:
    """Numbers on an axis as 1,000 and 0.5."""

    def text(value: float, _: object) -> str:
        return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"

    return FuncFormatter(text)


def png(figure: Figure, colours: int | None = None) -> bytes:
    """The figure as a file; the same figure gives the same bytes.

    Args:
      figure: the figure.
      colours: how many the file may have, at most 256: a third of the size where much is drawn;
        None for all.
    """
    canvas = FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    if colours is None:
        # No software version inside.
        figure.savefig(
            buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor(),
            metadata={"Software": None},
        )  # fmt: skip
        return buffer.getvalue()
    figure.set_dpi(DPI)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    palette = image.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(buffer, format="png", dpi=(DPI, DPI))
    return buffer.getvalue()
