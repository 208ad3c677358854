"""What a meta-training looks like while it runs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from search.exclusive import is_held
from search.meta import summary
from search.meta.config import MetaConfig
from search.meta.store import MetaStore, Validation
from search.meta.train import Record
from search.views import Lines, Panels, Talk, a_second, duration, framed, progress, sparkline

_RECENT = 20
"""Meta-updates that rates and the time left are measured over."""

_PANEL_SECONDS, _LINE_SECONDS = 0.4, 10.0
_TASKS = 4
"""Names of tasks that are shown."""


@dataclass(frozen=True)
class Snapshot:
    """A meta-training as it is at a moment: all that is shown of it.

    Attributes:
      folder: its folder.
      config: its configuration.
      records: the meta-updates.
      validations: the validations.
      state: what it is doing, in a word.
    """

    folder: Path
    config: MetaConfig
    records: Sequence[Record]
    validations: Sequence[Validation]
    state: str
    losses: np.ndarray = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Smooth the curve once."""
        found = summary.losses(self.records)
        object.__setattr__(self, "losses", summary.smooth(found, summary.window(len(found))))

    @classmethod
    def of(cls, store: MetaStore, state: str = "") -> "Snapshot":
        """What the store says now."""
        records, config = store.records(), store.config()
        if not state:
            done = bool(records) and len(records) >= config.steps
            state = "running" if is_held(store.folder) else "finished" if done else "stopped"
        return cls(store.folder, config, records, store.validations(), state)

    @property
    def best(self) -> tuple[float, int]:
        """The lowest of the smoothed meta-losses, where it is one of many, and its number."""
        first = min(len(self.losses), summary.window(len(self.losses))) - 1
        place = first + int(np.argmin(self.losses[first:]))
        return float(self.losses[place]), place + 1

    @property
    def recent(self) -> Sequence[Record]:
        """The last meta-updates, without the first two if it can: they compile."""
        return self.records[max(2, len(self.records) - _RECENT) :] or self.records[-1:]

    @property
    def pace(self) -> float:
        """Seconds of a meta-update."""
        # The median: meta-updates that compile for a new task are no sign of those to come.
        return float(np.median([record.seconds for record in self.recent]))

    @property
    def seconds_left(self) -> float | None:
        """Seconds that are left, as the last meta-updates were; None if unknown."""
        if len(self.records) < 3:
            return None
        return self.pace * max(0, self.config.steps - len(self.records))


class View(Talk, Protocol):
    """What shows a meta-training to whoever runs it."""

    def updated(self, record: Record) -> None:
        """A meta-update was made."""
        ...

    def validating(self, done: int, total: int) -> None:
        """So many tasks of a validation are done."""
        ...

    def validated(self, validation: Validation) -> None:
        """Weights were validated."""
        ...


def view(store: MetaStore) -> View:
    """A live panel if the output is a terminal, else plain lines."""
    console = Console()
    return LivePanel(store, console) if console.is_terminal else PlainLines(store)


class _Watch:
    """What was seen so far, and when it was last shown."""

    def __init__(self, store: MetaStore):
        self._folder, self._config = store.folder, store.config()
        self._records, self._validations = store.records(), store.validations()
        self._shown = float("-inf")

    def _seen(self, state: str) -> Snapshot:
        return Snapshot(self._folder, self._config, self._records, self._validations, state)

    def _due(self, record: Record, seconds: float) -> bool:
        """Whether to show what a new record adds: now and then, the first, and the last."""
        self._records.append(record)
        now = time.monotonic()
        if now - self._shown < seconds and record.step + 1 < self._config.steps:
            return False
        self._shown = now
        return True


class PlainLines(_Watch, Lines):
    """A line every few seconds."""

    def __init__(self, store: MetaStore):
        _Watch.__init__(self, store)
        Lines.__init__(self, "meta-update")

    def updated(self, record: Record) -> None:
        """Print a line if one is due."""
        if self._due(record, _LINE_SECONDS):
            self.say(plain_line(self._seen("running")))

    def validating(self, done: int, total: int) -> None:
        """Nothing."""

    def validated(self, validation: Validation) -> None:
        """Print a line."""
        self._validations.append(validation)
        self.say(_validated(validation, self._validations))


class LivePanel(_Watch, Panels):
    """The panel, redrawn now and then."""

    def __init__(self, store: MetaStore, console: Console):
        _Watch.__init__(self, store)
        Panels.__init__(self, self._seen("compiling"), panel, console, "meta-update")

    def updated(self, record: Record) -> None:
        """Redraw the panel if it is time."""
        if self._due(record, _PANEL_SECONDS):
            done = record.step + 1 >= self._config.steps
            self.show(self._seen("finishing" if done else "running"))

    def validating(self, done: int, total: int) -> None:
        """Say so in the panel."""
        self.show(self._seen(f"validating: {done} of {total} tasks"))

    def validated(self, validation: Validation) -> None:
        """Redraw the panel."""
        self._validations.append(validation)
        done = validation.step >= self._config.steps
        self.show(self._seen("finishing" if done else "running"))


def _validated(validation: Validation, all_: Sequence[Validation]) -> str:
    lowest = min(all_, key=lambda other: other.score)
    best = "the best so far" if lowest is validation else f"best {lowest.score:.4f}"
    return f"validation after {validation.step} meta-updates: {validation.score:.4f} ({best})"


# ---------------------------------------------------------------- drawing


def plain_line(shot: Snapshot) -> str:
    """The meta-training in one line."""
    parts = [f"meta-update {len(shot.records)} of {shot.config.steps}"]
    if shot.records:
        best, _ = shot.best
        first = summary.at_first(shot.records)
        parts.append(f"meta-loss {shot.losses[-1]:.4f} (best {best:.4f}, at first {first:.4f})")
        parts += [f"{value} {name}" for name, value in _rates(shot)]
        parts.append(f"{_broken(shot)} broken")
    if shot.seconds_left:
        parts.append(f"{duration(shot.seconds_left)} left")
    return "  ".join(parts)


def panel(shot: Snapshot) -> Panel:
    """The meta-training as a panel."""
    count, total = len(shot.records), shot.config.steps
    label = f"meta-update {count:,} of {total:,}"
    parts: list[RenderableType] = [progress(label, count, total, shot.seconds_left)]
    if shot.records:
        parts += [Text(), _losses(shot), Text(), _numbers(shot)]
    return framed(shot.folder, shot.state, parts)


def _losses(shot: Snapshot) -> Table:
    row = Table.grid(padding=(0, 2))
    for _ in range(3):
        row.add_column(no_wrap=True)
    best, place = shot.best
    curve = Text(sparkline(shot.losses.tolist(), 48), "green")
    row.add_row(Text("meta-loss", "bold"), Text(f"{shot.losses[-1]:.4f}", "bold green"), curve)
    row.add_row("best", f"{best:.4f}", Text(f"at meta-update {place:,}", "dim"))
    row.add_row("at first", f"{summary.at_first(shot.records):.4f}")
    if shot.validations:
        scores = [validation.score for validation in shot.validations]
        lowest = min(shot.validations, key=lambda validation: validation.score)
        text = Text.assemble(
            (sparkline(scores, 20), "green"),
            (f"  best {lowest.score:.4f} at meta-update {lowest.step:,}", "dim"),
        )
        row.add_row("validation", f"{scores[-1]:.4f}", text)
    return row


def _numbers(shot: Snapshot) -> Table:
    row = Table.grid(padding=(0, 2))
    for _ in range(2):
        row.add_column(no_wrap=True)
    for name, value in _rates(shot):
        row.add_row(name.removesuffix("/s"), Text(f"{value}/s", "bold"))
    row.add_row("broken losses", _broken(shot))
    under_way = list(dict.fromkeys(shot.records[-1].tasks))
    more = f" and {len(under_way) - _TASKS} more" if len(under_way) > _TASKS else ""
    row.add_row("tasks", Text("\n".join(under_way[:_TASKS]) + more, "dim", overflow="ellipsis"))
    return row


def _rates(shot: Snapshot) -> Sequence[tuple[str, str]]:
    recent = shot.recent
    seconds = sum(record.seconds for record in recent)
    steps = summary.inner_steps(recent)
    return (
        ("meta-updates/s", a_second(len(recent), seconds)),
        ("inner steps/s", a_second(steps, seconds)),
    )


def _broken(shot: Snapshot) -> str:
    return f"{100 * float(np.mean(summary.broken(shot.recent))):.1f} %"
