"""What a long run looks like while it runs: a live panel in a terminal, else plain lines."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BARS = "▁▂▃▄▅▆▇█"


class Talk(Protocol):
    """What is told to whoever runs something long."""

    def say(self, text: str) -> None:
        """Something is worth telling."""
        ...

    def stopping(self) -> None:
        """The run stops at the next good place; called from a signal handler."""
        ...

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: object) -> None: ...


class Lines:
    """Plain lines, for logs and pipes.

    Args:
      unit: what a run that is asked to stop ends first, such as `round`.
    """

    def __init__(self, unit: str):
        self._unit = unit

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def stopping(self) -> None:
        """Print a line; not by `print`, which the signal may have interrupted."""
        os.write(sys.stderr.fileno(), f"{_stopping(self._unit)} to stop at once\n".encode())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()


class Panels:
    """A panel that is redrawn as things go on, and messages above it.

    Args:
      shot: what is shown at first: a frozen dataclass with a field `state`, a word that says what
        the run is doing, `finishing` at its end.
      draw: what is shown -> panel.
      console: the terminal.
      unit: see `Lines`.
    """

    def __init__(self, shot: Any, draw: Callable[[Any], Panel], console: Console, unit: str):
        self._shot, self._draw, self._console, self._unit = shot, draw, console, unit
        self._live = Live(draw(shot), console=console, refresh_per_second=2)

    def show(self, shot: Any) -> None:
        """Redraw the panel."""
        self._shot = shot
        self._live.update(self._draw(shot))

    def say(self, text: str) -> None:
        """Print a line above the panel."""
        self._console.print(text, highlight=False, markup=False)

    def stopping(self) -> None:
        """Say so in the panel."""
        self.show(replace(self._shot, state=f"{_stopping(self._unit)}: at once"))

    def __enter__(self) -> Any:
        self._live.__enter__()
        return self

    def __exit__(self, *arguments: object) -> None:
        ended = arguments[0] is None and self._shot.state == "finishing"
        self.show(replace(self._shot, state="finished" if ended else "stopped"))
        self._live.__exit__(*arguments)  # type: ignore[arg-type]


def _stopping(unit: str) -> str:
    return f"stopping after this {unit}; once more"


# ---------------------------------------------------------------- drawing


def framed(folder: Path, state: str, parts: Sequence[RenderableType]) -> Panel:
    """The parts of a panel in its frame, made for 80 columns."""
    style = {"stopped": "yellow", "finished": "cyan"}.get(state, "green")
    return Panel(
        Group(*parts),
        title=Text.assemble(("metaopt", "bold"), f"  {folder}"),
        title_align="left",
        subtitle=Text(state, style=style),
        subtitle_align="right",
        border_style="dim",
        padding=(0, 1),
        width=80,
    )


def progress(text: str, done: int, total: int, seconds_left: float | None) -> Table:
    """A bar between a text and the time left."""
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(total=total, completed=done, complete_style="green")
    row.add_row(text, bar, f"{duration(seconds_left)} left" if seconds_left else "")
    return row


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a row of bars, the last of each stretch where there are more than fit."""
    if not values:
        return ""
    count = min(width, len(values))
    shown = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    low, high = min(shown), max(shown)
    if high == low:
        return _BARS[0] * count
    return "".join(_BARS[round((v - low) / (high - low) * (len(_BARS) - 1))] for v in shown)


def duration(seconds: float) -> str:
    """Seconds as people say them: 0:42, 12:05, 3:20:00."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def a_second(count: float, seconds: float) -> str:
    """How many a second."""
    rate = count / seconds if seconds else 0.0
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
