"""`metaopt bench run`, `resume`, `status` and `report`: a benchmark from the outside."""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from search.bench import report, store
from search.bench.config import BenchConfig
from search.bench.contenders import find
from search.bench.engine import Stopped
from search.bench.results import Summary
from search.bench.tables import terminal
from search.bench.work import Job, Measurement, costs, measure
from search.cli import INTERRUPTED
from search.cluster import executor
from search.drive import Where
from search.errors import UserError
from search.exclusive import exclusive
from search.live import duration
from search.stop import Stop


def run(config: BenchConfig, out: Path, where: Where) -> int:
    """Start a benchmark; the exit code."""
    store.create(out, config)
    return _drive(out, where)


def resume(folder: Path, where: Where) -> int:
    """Go on with a benchmark; the exit code."""
    return _drive(folder, where)


def status(folder: Path) -> int:
    """Print how far a benchmark is; the exit code."""
    config = store.plan(folder)
    done = store.done(folder, config)
    print(f"{len(done)} of {len(config.task_names)} tasks are measured in {folder}")
    if done:
        _print_table(report.conclude(folder))
    return 0


def _drive(folder: Path, where: Where) -> int:
    config = store.plan(folder)
    done = store.done(folder, config)
    left = [name for name in config.task_names if name not in done]
    complete = True
    with exclusive(folder, _running(folder)), Stop(_say_stopping) as stop:
        try:
            if left:
                _run(folder, config, left, where, stop)
        except (Stopped, KeyboardInterrupt):
            complete = False
    if not complete:
        count = len(store.done(folder, config))
        print(
            f"stopped after {count} of {len(config.task_names)} tasks; go on with "
            f"`metaopt bench resume {folder}`",
            file=sys.stderr,
        )
        return INTERRUPTED
    summary = report.conclude(folder)
    page = report.write(folder, summary)
    _print_table(summary)
    print(f"\nthe whole story:  {page}")
    return 0


def _run(folder: Path, config: BenchConfig, left: list[str], where: Where, stop: Stop) -> None:
    began = time.monotonic()
    if not (folder / store.COSTS).is_file():
        contenders = [find(text) for text in config.optimizers]
        store.write_costs(folder, costs(contenders), provenance())
    here = not where.workers and not where.address
    call = partial(measure, stop=stop.asked) if here else measure
    options = where._asdict() | {
        "gpus": float(jax.default_backend() != "cpu"),
        "threads": threads(),
    }
    total = len(config.task_names)
    with _progress(total, total - len(left)) as tell, stop.patiently(), executor(**options) as pool:

        def keep(number: int, measurement: Measurement) -> None:
            store.write(folder, left[number], *measurement)
            tell(left[number])
            if stop.asked():
                raise Stopped

        pool.run(call, [Job(config, name) for name in left], keep)
    print(f"measured {len(left)} tasks in {duration(time.monotonic() - began)}", flush=True)


def threads() -> int:
    """Tasks at a time in this process: as many as cores, so that compilers have company."""
    return min(16, len(os.sched_getaffinity(0)))


def provenance() -> dict[str, str]:
    """On what machine, and with which software."""
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else platform.machine()
    packages = ("jax", "flax", "optax", "numpy")
    return {
        "device": f"{kind}, {len(os.sched_getaffinity(0))} CPU cores",
        "date": time.strftime("%Y-%m-%d"),
        "software": ", ".join(f"{name} {metadata.version(name)}" for name in packages),
    }


@contextlib.contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[str], None]]:
    """A bar with the time left in a terminal, a line a task elsewhere."""
    console = Console()
    if not console.is_terminal:
        began, before = time.monotonic(), done

        def line(task: str) -> None:
            nonlocal done
            done += 1
            pace = (time.monotonic() - began) / (done - before)
            left = f"about {duration(pace * (total - done))} left" if done < total else "done"
            print(f"{done:4} of {total}  {task}  ({left})", flush=True)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=600) as bar:
        row = bar.add_task("tasks", total=total, completed=done)
        yield lambda task: bar.update(row, advance=1)


def _print_table(summary: Summary) -> None:
    """The main table; where nobody's terminal limits it, as wide as it needs to be."""
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(terminal(summary))


def _say_stopping() -> None:
    os.write(sys.stderr.fileno(), b"stopping; finished tasks are kept; once more to stop at once\n")


def _running(folder: Path) -> UserError:
    return UserError(
        f"the benchmark in {folder} is running in another process; see it with "
        f"`metaopt bench status {folder}`"
    )
