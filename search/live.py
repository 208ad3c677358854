"""What a campaign looks like while it runs."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from search.campaign import Progress
from search.config import SearchConfig
from search.evolve import Counts
from search.exclusive import is_held
from search.store import Candidate, RoundRecord, Store
from search.views import Lines, Panels, Talk, a_second, duration, framed, progress, sparkline

RECENT = 10
"""Rounds that rates and the time left are measured over."""

_PLAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Snapshot:
    """A campaign as it is after a round: all that is shown of it.

    Attributes:
      folder: the campaign's folder.
      config: its configuration.
      records: the committed rounds.
      best: the fittest candidate.
      baselines: name and fitness of the tuned baselines.
      state: what it is doing, in a word.
    """

    folder: Path
    config: SearchConfig
    records: tuple[RoundRecord, ...]
    best: Candidate | None
    baselines: tuple[tuple[str, float], ...]
    state: str

    @classmethod
    def of(cls, store: Store, state: str = "") -> "Snapshot":
        """What the store says now."""
        records = tuple(store.rounds())
        config = store.config()
        if not state:
            done = bool(records) and records[-1].number >= config.rounds
            finished = done and store.note("verdict") is not None
            state = "finished" if finished else "stopped"
            if is_held(store.folder):
                state = "finishing" if done else "running"
        return cls(
            store.folder,
            config,
            records,
            next(iter(store.best(1)), None),
            tuple((b["name"], b["fitness"]) for b in store.note("baselines") or ()),
            state,
        )

    @property
    def round(self) -> int:
        """Number of the last committed round."""
        return self.records[-1].number if self.records else 0

    @property
    def total(self) -> Counts:
        """The counts of all rounds."""
        return sum((record.counts for record in self.records), Counts())

    @property
    def recent(self) -> tuple[Counts, float]:
        """Counts and seconds of the last rounds, without the first two if it can: they compile."""
        latest = self.records[max(2, len(self.records) - RECENT) :] or self.records[-1:]
        counts = sum((record.counts for record in latest), Counts())
        return counts, sum(record.seconds for record in latest)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the remaining rounds will take, as the last ones did; None if unknown."""
        latest = self.records[-RECENT:] if len(self.records) > 2 else ()
        if not latest:
            return None
        pace = sum(record.seconds for record in latest) / len(latest)
        return pace * max(0, self.config.rounds - self.round)

    def references(self) -> list[tuple[str, float]]:
        """The fitness that the best one is held against: start and baselines."""
        start = [("start", self.records[0].best)] if self.records else []
        return [*start, *self.baselines]


class View(Talk, Protocol):
    """What shows a campaign to whoever runs it."""

    def observe(self, progress: Progress) -> None:
        """A round was committed."""
        ...


def view(store: Store) -> View:
    """A live panel if the output is a terminal, else plain lines."""
    console = Console()
    return LivePanel(store, console) if console.is_terminal else PlainLines(store)


class PlainLines(Lines):
    """One line every few rounds."""

    def __init__(self, store: Store):
        super().__init__("round")
        self._store, self._last = store, -1.0

    def observe(self, progress: Progress) -> None:
        """Print a line if one is due."""
        number, rounds = progress.record.number, progress.config.rounds
        every = max(1, rounds // 20)
        late = time.monotonic() - self._last > _PLAIN_SECONDS
        if self._last < 0 or late or number % every == 0 or number == rounds:
            self._last = time.monotonic()
            self.say(plain_line(Snapshot.of(self._store, "running")))


class LivePanel(Panels):
    """The panel, redrawn after every round."""

    def __init__(self, store: Store, console: Console):
        super().__init__(Snapshot.of(store, "starting"), panel, console, "round")
        self._store = store

    def observe(self, progress: Progress) -> None:
        """Redraw the panel."""
        done = progress.record.number >= progress.config.rounds
        self.show(Snapshot.of(self._store, "finishing" if done else "running"))


# ---------------------------------------------------------------- drawing


def plain_line(shot: Snapshot) -> str:
    """The campaign in one line."""
    counts, seconds = shot.recent
    parts = [f"round {shot.round} of {shot.config.rounds}"]
    if shot.best:
        against = ", ".join(f"{name} {value:.4f}" for name, value in shot.references())
        parts.append(f"best {shot.best.fitness:.4f} ({against})")
    if shot.round:
        parts.append(f"{a_second(counts.generated, seconds)} programs/s")
        parts.append(f"{a_second(counts.trainings, seconds)} trainings/s")
        parts.append(f"{_percent(shot.total.duplicates, shot.total.generated)} duplicates")
    if shot.seconds_left:
        parts.append(f"{duration(shot.seconds_left)} left")
    return "  ".join(parts)


def panel(shot: Snapshot) -> Panel:
    """The campaign as a panel."""
    rounds = shot.config.rounds
    label = f"round {shot.round} of {rounds}"
    parts: list[RenderableType] = [progress(label, shot.round, rounds, shot.seconds_left)]
    if shot.best:
        parts += [Text(), _fitness(shot, shot.best)]
    if shot.round:
        parts += [Text(), _numbers(shot)]
    if shot.best:
        found = f"found in round {shot.best.round} on island {shot.best.island + 1}"
        parts += [Text(), Text.assemble(("best rule", "bold"), (f"  {found}", "dim"))]
        text = shot.best.rule.rstrip()
        parts.append(Syntax(text, "python", theme="ansi_dark", background_color="default"))
    return framed(shot.folder, shot.state, parts)


def _fitness(shot: Snapshot, best: Candidate) -> Table:
    row = Table.grid(padding=(0, 2))
    for _ in range(3):
        row.add_column(no_wrap=True)
    row.add_row(
        Text("best fitness", "bold"),
        Text(f"{best.fitness:.4f}", "bold green"),
        Text(sparkline([record.best for record in shot.records], 48), "green"),
    )
    for name, value in shot.references():
        gain = best.fitness - value
        ahead = Text(f"{gain:+.4f} for the best", "green" if gain > 0 else "dim")
        row.add_row(Text(name), Text(f"{value:.4f}"), ahead)
    return row


def _numbers(shot: Snapshot) -> Table:
    counts, seconds = shot.recent
    total = shot.total
    lost = {
        "illegal": total.illegal,
        "duplicate": total.duplicates,
        "stopped": total.stopped,
        "diverged": total.diverged,
    }
    table = Table.grid(padding=(0, 2))
    for column in range(6):
        table.add_column(justify="right" if column % 2 else "left", no_wrap=True)
    names = list(lost)
    left = (("programs", counts.generated), ("candidates", counts.evaluated))
    left += (("trainings", counts.trainings),)
    rows = [
        (name, f"{a_second(value, seconds)}/s", names[i], names[i + 2] if i < 2 else "")
        for i, (name, value) in enumerate(left)
    ]
    for name, rate, first, second in rows[:2]:
        cells = [first, _percent(lost[first], total.generated)]
        cells += [second, _percent(lost[second], total.generated)]
        table.add_row(name, Text(rate, "bold"), *(Text(c, "dim") for c in cells))
    good = total.evaluated - total.stopped - total.diverged
    table.add_row(
        "trainings",
        Text(rows[2][1], "bold"),
        Text("trained well", "dim"),
        Text(_percent(good, total.generated), "dim"),
        Text("of programs", "dim"),
        Text(f"{total.generated:,}", "dim"),
    )
    return table


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
