"""The commands of `metaopt bench`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

Folder = Annotated[Positional[Path], arg(metavar="DIR")]


@dataclass(frozen=True)
class Run:
    """Compare optimizers on a suite, each with the same budget for tuning.

    Attributes:
      suite: suite of tasks, such as held_out; its newest version, unless one is named.
      optimizers: separated by commas: names (adamw, lion, momentum, ...), rule files, campaigns'
        folders, weights of learned optimizers (*.safetensors), Python files that export wrote.
      out: folder for the benchmark, made if need be.
      trials: settings that each optimizer may try on each task; learned ones have a single one.
      seeds: trainings a trial.
      first_seed: the first seed.
      lengths: separated by commas: factors of each task's standard number of steps, multiples of
        0.05.
      schedules: separated by commas: constant, linear, cosine, wsd (warmup, stable, decay).
      tuning: grid of learning rates, or random draws of all hyperparameters.
      tasks: separated by commas: tasks of the suite; default all.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      timeout: seconds after which a task counts as hanging and is done again elsewhere.
    """

    optimizers: str
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    suite: str = "held_out"
    trials: int = 10
    seeds: int = 3
    first_seed: int = 0
    lengths: str = "1"
    schedules: str = "cosine"
    tuning: Literal["grid", "random"] = "grid"
    tasks: str = ""
    workers: int = 0
    address: str = ""
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search.bench import drive
        from search.bench.config import BenchConfig
        from search.config_file import message
        from search.drive import Where
        from search.errors import UserError

        try:
            config = BenchConfig(
                suite=self.suite,
                optimizers=_listed(self.optimizers),
                trials=self.trials,
                seeds=self.seeds,
                first_seed=self.first_seed,
                lengths=tuple(map(float, _listed(self.lengths))),
                schedules=_listed(self.schedules),
                tuning=self.tuning,
                tasks=_listed(self.tasks),
            )
        except (ValueError, KeyError) as error:
            raise UserError(message(error)) from None
        return drive.run(config, self.out, Where(self.workers, self.address, False, self.timeout))


@dataclass(frozen=True)
class Resume:
    """Go on with a benchmark after the tasks that are done.

    Attributes:
      folder: folder of the benchmark.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      timeout: seconds after which a task counts as hanging and is done again elsewhere.
    """

    folder: Folder
    workers: int = 0
    address: str = ""
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search.bench import drive
        from search.drive import Where

        return drive.resume(self.folder, Where(self.workers, self.address, False, self.timeout))


@dataclass(frozen=True)
class Status:
    """Show how far a benchmark is, and its table so far.

    Attributes:
      folder: folder of the benchmark.
    """

    folder: Folder

    def __call__(self) -> int:
        from search.bench import drive

        return drive.status(self.folder)


@dataclass(frozen=True)
class Report:
    """Write the report of a benchmark, finished or not: a web page, figures, tables, JSON.

    Attributes:
      folder: folder of the benchmark.
      reference: optimizer that speed-ups are measured against; default adamw, or the first where
        adamw is not among them.
    """

    folder: Folder
    reference: str = ""

    def __call__(self) -> int:
        from search.bench import report

        page = report.write(self.folder, report.conclude(self.folder, self.reference or None))
        print(f"wrote {page} and its figures beside it")
        return 0


@dataclass(frozen=True)
class Merge:
    """Put benchmarks of other optimizers side by side, without training anything again.

    Attributes:
      folders: folders of benchmarks of the same tasks, seeds and trials.
      out: folder for what comes of it, made if need be.
      optimizers: separated by commas: names of those to take; default all.
    """

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR")]
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    optimizers: str = ""

    def __call__(self) -> int:
        from search.bench import drive, merge

        merge.merge(self.folders, self.out, _listed(self.optimizers))
        return drive.status(self.out)


@dataclass(frozen=True)
class Bench:
    """Optimizers compared with equal budgets, at the end of training."""

    command: (
        Annotated[Run, subcommand("run")]
        | Annotated[Resume, subcommand("resume")]
        | Annotated[Status, subcommand("status")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Merge, subcommand("merge")]
    )

    def __call__(self) -> int:
        return self.command()


def _listed(text: str) -> tuple[str, ...]:
    """What commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
