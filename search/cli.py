"""The command `metaopt`. Nothing heavy is imported before a command needs it.

A new command is a dataclass with a `__call__` that returns the exit code, and one line in a union.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg, subcommand

from search.bench.cli import Bench
from search.catalogue_cli import Baselines, Rules, Tasks
from search.meta.cli import MetaTrain

FAILED, INTERRUPTED = 2, 130
"""Exit codes: an error that the message explains, and a stop asked for by the user."""

DESCRIPTION = (
    "Discover optimizers: search for update rules, compare them, export them as Optax code."
)

Folder = Annotated[Positional[Path], arg(metavar="DIR")]


# ---------------------------------------------------------------- metaopt search


@dataclass(frozen=True)
class Run:
    """Start a campaign.

    Attributes:
      config: campaign file, Python with one CONFIG = SearchConfig(...).
      out: folder for the campaign, made if need be.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      seed: seed in place of the file's.
      rounds: number of rounds in place of the file's.
      dashboard: give the Ray that is started here its dashboard.
      timeout: seconds after which a worker's round counts as hanging and is done again elsewhere.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG.py")]
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    workers: int = 0
    address: str = ""
    seed: int | None = None
    rounds: int | None = None
    dashboard: bool = False
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search import drive

        where = drive.Where(self.workers, self.address, self.dashboard, self.timeout)
        return drive.run(self.config, self.out, where, seed=self.seed, rounds=self.rounds)


@dataclass(frozen=True)
class Resume:
    """Go on with a campaign after its last committed round.

    Attributes:
      folder: folder of the campaign.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      dashboard: give the Ray that is started here its dashboard.
      timeout: seconds after which a worker's round counts as hanging and is done again elsewhere.
    """

    folder: Folder
    workers: int = 0
    address: str = ""
    dashboard: bool = False
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search import drive

        where = drive.Where(self.workers, self.address, self.dashboard, self.timeout)
        return drive.resume(self.folder, where)


@dataclass(frozen=True)
class Status:
    """Show where a campaign is, also while it runs.

    Attributes:
      folder: folder of the campaign.
    """

    folder: Folder

    def __call__(self) -> int:
        from search import drive

        return drive.status(self.folder)


@dataclass(frozen=True)
class Report:
    """Write the report of a campaign, also while it runs: a web page, and its figures as PNG.

    Attributes:
      folder: folder of the campaign.
      out: file of the page; the figures go beside it. Default: DIR/report/index.html.
    """

    folder: Folder
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None

    def __call__(self) -> int:
        from search import report

        page = report.write(self.folder, self.out)
        print(f"wrote {page} and its figures beside it")
        return 0


@dataclass(frozen=True)
class Search:
    """The commands of a campaign."""

    command: (
        Annotated[Run, subcommand("run")]
        | Annotated[Resume, subcommand("resume")]
        | Annotated[Status, subcommand("status")]
        | Annotated[Report, subcommand("report")]
    )

    def __call__(self) -> int:
        return self.command()


# ---------------------------------------------------------------- the other commands


@dataclass(frozen=True)
class Export:
    """Write a rule as an Optax optimizer that needs only jax and optax.

    A campaign's winner is distilled first: statements go and constants are rounded where fitness
    allows, and each change is told with what it cost.

    Attributes:
      source: folder of a campaign, a rule file, or the name of a known rule.
      output: Python file to write; without it the source is printed.
      name: name of the optimizer. Default: the file's name, or the rule's own.
      no_distill: only simplify exactly.
    """

    source: Annotated[Positional[str], arg(metavar="DIR_OR_RULE")]
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    name: str | None = None
    no_distill: bool = False

    def __call__(self) -> int:
        from search import export

        return export.export(
            self.source, self.output, name=self.name, distilled=not self.no_distill
        )


Command = (
    Annotated[Search, subcommand("search")]
    | Annotated[MetaTrain, subcommand("meta-train")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Rules, subcommand("rules")]
    | Annotated[Baselines, subcommand("baselines")]
    | Annotated[Tasks, subcommand("tasks")]
    | Annotated[Bench, subcommand("bench")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"metaopt {_version()}")
        return 0
    command: Command = tyro.cli(
        Command,  # type: ignore[arg-type]
        args=arguments,
        prog="metaopt",
        description=f"{DESCRIPTION} `metaopt --version` prints the version.",
        config=(
            tyro.conf.OmitSubcommandPrefixes,
            tyro.conf.OmitArgPrefixes,
            tyro.conf.FlagCreatePairsOff,
        ),
    )
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        text = _explained(error)
        if text is None:
            raise
        print(f"metaopt: {text}", file=sys.stderr)
        return FAILED


def _explained(error: Exception) -> str | None:
    """The message of an error that a person can put right; None for a fault of ours."""
    import sqlite3

    from metaopt.learned.checkpoint import CheckpointError
    from metaopt.rules.parse import RuleError
    from search.cluster import WorkerError
    from search.errors import UserError
    from search.store import CampaignError

    if isinstance(error, (UserError, CampaignError, CheckpointError, RuleError, WorkerError)):
        return str(error)
    if isinstance(error, ConnectionError):
        return f"cannot reach the Ray cluster: {error}; start one with `ray start --head`"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    if isinstance(error, sqlite3.DatabaseError):
        return f"the run's file cannot be read, it is damaged or busy: {error}"
    return None


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("metaopt")
    except metadata.PackageNotFoundError:  # a checkout on the path, not installed
        import metaopt

        return metaopt.__version__


if __name__ == "__main__":
    sys.exit(main())
