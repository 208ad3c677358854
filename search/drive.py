"""`metaopt search run`, `resume` and `status`: a campaign from the outside."""

import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search import config_file, finish
from search.campaign import Progress, advance
from search.cli import INTERRUPTED
from search.cluster import assert_usable, executor
from search.config import to_json
from search.errors import write_whole
from search.live import Snapshot, View, panel, view
from search.stop import Stop
from search.store import Store

CONFIG = "config.json"


@dataclass(frozen=True)
class Where:
    """Where jobs run; see `cluster.executor`."""

    workers: int
    address: str
    dashboard: bool
    timeout: float

    def __post_init__(self) -> None:
        """Refuse what no job can run on, before a run's folder is made."""
        assert_usable(self.workers, self.address, self.timeout)

    def options(self) -> dict[str, Any]:
        """The arguments of `cluster.executor` that it stands for."""
        return asdict(self)


def run(config: Path, out: Path, where: Where, *, seed: int | None, rounds: int | None) -> int:
    """Start a campaign; the exit code."""
    loaded = config_file.changed(config_file.load(config), seed=seed, rounds=rounds)
    with closing(Store.create(out, loaded)) as store:
        write_whole(out / CONFIG, to_json(loaded) + "\n")
        return _drive(store, where)


def resume(folder: Path, where: Where) -> int:
    """Go on with a campaign; the exit code."""
    with closing(Store.open(folder)) as store:
        if store.note("verdict") is None:
            return _drive(store, where)
        print(f"the campaign in {folder} is finished\n")
        _conclude(store)
        return 0


def status(folder: Path) -> int:
    """Print where a campaign is; the exit code."""
    with closing(Store.open(folder)) as store:
        Console().print(panel(Snapshot.of(store)))
        if store.note("verdict") is not None:
            print()
            _conclude(store)
    return 0


def _drive(store: Store, where: Where) -> int:
    try:
        with store.locked(), view(store) as shown, Stop(shown.stopping) as stop:
            complete = _advance(store, where, shown, stop)
            if complete:
                finish.finish(store, shown.say)
    except KeyboardInterrupt:
        complete = False
    if not complete:
        records = store.rounds()
        at = f"after round {records[-1].number}" if records else "before the first round"
        goal = store.config().rounds
        print(
            f"stopped {at} of {goal}; go on with `metaopt search resume {store.folder}`",
            file=sys.stderr,
        )
        return INTERRUPTED
    print()
    _conclude(store)
    return 0


def _advance(store: Store, where: Where, shown: View, stop: Stop) -> bool:
    finish.begin(store, shown.say)
    written = -1.0

    def observe(progress: Progress) -> None:
        nonlocal written
        if progress.record.best > written:
            finish.write_best(store)
            written = progress.record.best
        shown.observe(progress)

    on_gpus = store.config().training.resolved_engine() == "device"
    options = where.options() | {"gpus": float(on_gpus), "report": shown.say}
    with stop.patiently(), executor(**options) as workers:
        return advance(store, workers, observe, stop.asked)


# ---------------------------------------------------------------- the end


def _conclude(store: Store) -> None:
    """Print the verdict, and what to do next."""
    Console().print(verdict_table(store.note("verdict")))
    folder = store.folder
    print(f"\nthe whole story:  metaopt search report {folder}")
    print(f"as Optax code:    metaopt export {folder} -o my_rule.py")


def verdict_table(verdict: dict[str, Any]) -> Table:
    """The winner against the others: test loss, the lowest of each task in bold."""
    accurate = any("accuracy" in row for row in verdict["rows"])
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), title_justify="left")
    table.title = Text(f"test loss, mean ± deviation over {verdict['seeds']} seeds", "bold")
    table.add_column("task", no_wrap=False)
    table.add_column("rule", no_wrap=True)
    for title in ("learning rate", "test loss", *(["accuracy"] if accurate else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for task in verdict["tasks"]:
        rows = [row for row in verdict["rows"] if row["task"] == task]
        lowest = min(row["loss"] for row in rows)
        for i, row in enumerate(rows):
            cells = [task if i == 0 else "", row["name"], f"{row['rate']:.3g}"]
            cells.append(f"{row['loss']:.4f} ± {row['spread']:.4f}")
            if accurate:
                cells.append(_accuracy(row))
            table.add_row(*cells, style="bold" if row["loss"] == lowest else "")
    return table


def _accuracy(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} %" if row.get("accuracy") is not None else ""
