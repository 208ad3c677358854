"""`metaopt bench run`, `resume`, `status` and `report`: a benchmark from the outside."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
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

import tasks
from search.bench import report, store
from search.bench.config import BenchConfig
from search.bench.contenders import find
from search.bench.engine import Stopped
from search.bench.results import Summary
from search.bench.tables import terminal
from search.bench.work import Job, Measurement, costs, measure
from search.cli import INTERRUPTED
from search.cluster import InProcess, Processes, executor
from search.drive import Where
from search.errors import UserError
from search.exclusive import exclusive
from search.live import duration
from search.machine import cores, keep_compiled, provenance
from search.stop import Stop
from tasks.data import cache


def run(config: BenchConfig, out: Path, where: Where) -> int:
    """Start a benchmark; the exit code."""
    _share_gpu()  # before JAX is first used, as it is to try the optimizers
    store.create(out, config)
    return _drive(out, where)


def resume(folder: Path, where: Where) -> int:
    """Go on with a benchmark; the exit code."""
    _share_gpu()
    return _drive(folder, where)


def _share_gpu() -> None:
    """Processes share a GPU: none takes most of its memory at once."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


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
    left = longest_first(config.suite, (name for name in config.task_names if name not in done))
    for name in done:  # what is of no use is found before anything is trained
        store.read(folder, name, config)
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
    if where.workers or where.address:
        workers = executor(gpus=float(jax.default_backend() != "cpu"), **where.options())
    else:
        workers = contextlib.nullcontext(here(cache.directory() / "compiled"))
    total = len(config.task_names)
    with _progress(total, total - len(left)) as tell, stop.patiently(), workers as pool:
        call = partial(measure, stop=stop.asked) if isinstance(pool, InProcess) else measure

        def keep(number: int, measurement: Measurement) -> None:
            store.write(folder, left[number], *measurement, config=config)
            tell(left[number])
            if stop.asked():
                raise Stopped

        # The machines of a cluster need not share a disk.
        place = None if where.address else folder.resolve()
        jobs = [Job(config, name, place and store.unfinished(place, name)) for name in left]
        pool.run(call, jobs, keep)
    print(f"measured {len(left)} tasks in {duration(time.monotonic() - began)}", flush=True)


_LONG = ("transformer", "resnet", "vit", "mixer", "rnn", "conv", "gan", "text_mlp", "pinn")
"""Families whose tasks take longest to compile and to train."""


def longest_first(suite: str, names: Iterable[str]) -> list[str]:
    """Tasks in the order to begin them: none that takes long is left to run alone at the end."""

    def place(name: str) -> int:
        family = tasks.family(tasks.SUITES[suite][name].config)
        return _LONG.index(family) if family in _LONG else len(_LONG)

    return sorted(names, key=place)


def here(compiled: Path) -> InProcess | Processes:
    """What runs tasks on this machine, several at a time.

    On CPUs one more than there are cores, so that none waits while a task is traced. On a GPU,
    where the Python of a task takes longer than its trainings, in processes of their own.

    Args:
      compiled: a folder that keeps what is compiled, for the next benchmark.
    """
    keep = partial(keep_compiled, compiled)
    if jax.default_backend() != "cpu" and cores() > 2:
        return Processes(min(8, cores() // 2), keep)
    keep()
    return InProcess(min(16, cores() + 1))


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
