"""The commands of `metaopt meta-train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

Folder = Annotated[Positional[Path], arg(metavar="DIR")]


@dataclass(frozen=True)
class Run:
    """Start a meta-training: a learned optimizer is trained on tasks.

    Attributes:
      config: Python file with one CONFIG = MetaConfig(...).
      out: folder for the meta-training, made if need be.
      seed: seed in place of the file's.
      steps: number of meta-updates in place of the file's.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      timeout: seconds after which a worker's job counts as hanging and is done again elsewhere.
    """

    config: Annotated[Positional[Path], arg(metavar="CONFIG.py")]
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    seed: int | None = None
    steps: int | None = None
    workers: int = 0
    address: str = ""
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search.drive import Where
        from search.meta import drive

        where = Where(self.workers, self.address, False, self.timeout)
        return drive.run(self.config, self.out, where, seed=self.seed, steps=self.steps)


@dataclass(frozen=True)
class Resume:
    """Go on with a meta-training where it stopped, however it stopped.

    Attributes:
      folder: folder of the meta-training.
      workers: Ray workers to start on this machine; 0: run in this process.
      address: Ray cluster to join, such as auto.
      timeout: seconds after which a worker's job counts as hanging and is done again elsewhere.
    """

    folder: Folder
    workers: int = 0
    address: str = ""
    timeout: float = 3600.0

    def __call__(self) -> int:
        from search.drive import Where
        from search.meta import drive

        return drive.resume(self.folder, Where(self.workers, self.address, False, self.timeout))


@dataclass(frozen=True)
class Status:
    """Show where a meta-training is, also while it runs.

    Attributes:
      folder: folder of the meta-training.
    """

    folder: Folder

    def __call__(self) -> int:
        from search.meta import drive

        return drive.status(self.folder)


@dataclass(frozen=True)
class Report:
    """Write the report of a meta-training, also while it runs: a web page, its figures as PNG.

    Attributes:
      folder: folder of the meta-training.
      out: file of the page; the figures go beside it. Default: DIR/report/index.html.
    """

    folder: Folder
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None

    def __call__(self) -> int:
        from search.meta import report

        page = report.write(self.folder, self.out)
        print(f"wrote {page} and its figures beside it")
        return 0


@dataclass(frozen=True)
class Export:
    """Write the weights of a meta-training and their card: what they are, where they come from.

    Attributes:
      folder: folder of the meta-training.
      output: file of the weights, *.safetensors; the card goes beside it, *.json.
    """

    folder: Folder
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]

    def __call__(self) -> int:
        from search.meta import export

        return export.export(self.folder, self.output)


@dataclass(frozen=True)
class MetaTrain:
    """Learned optimizers, trained on tasks."""

    command: (
        Annotated[Run, subcommand("run")]
        | Annotated[Resume, subcommand("resume")]
        | Annotated[Status, subcommand("status")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Export, subcommand("export")]
    )

    def __call__(self) -> int:
        return self.command()
