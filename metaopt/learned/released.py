"""Learned optimizers by name, as they are released, and from files."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import optax

from metaopt.learned import checkpoint
from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta

_FOLDER = "learned"


def find(name_or_path: str | Path) -> Path | None:
    """The weights that a name or a path stands for; None if it is no learned optimizer's."""
    path = Path(name_or_path)
    if path.suffix == checkpoint.SUFFIX:
        return path
    return _released().get(str(name_or_path))


def names() -> tuple[str, ...]:
    """The names of the released learned optimizers."""
    return tuple(_released())


def read(path: str | Path) -> tuple[LearnedOptimizer, Theta]:
    """The network of a file, and its weights.

    Raises:
      FileNotFoundError: there is no such file, or it has no card.
      CheckpointError: they are damaged, or not of this version.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there are no weights {path}")
    learned = checkpoint.described(path)
    return learned, checkpoint.read(path, learned)


def bound(
    path: str | Path,
    *,
    num_steps: Scalar | None = None,
    compact: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer of a file.

    Args:
      path: file of the weights.
      num_steps: length of the training, where the network needs it.
      compact: see `metaopt.learned.optimizer.Bind`.

    Raises:
      TypeError: the network needs `num_steps`.
      FileNotFoundError, CheckpointError: as `read`.
    """
    learned, theta = read(path)
    return learned.bind(theta, num_steps=num_steps, compact=compact)


def card(name: str) -> dict[str, Any]:
    """What is recorded of a released learned optimizer.

    Raises:
      KeyError: there is none of that name.
    """
    return checkpoint.read_card(_released()[name])


@cache
def _released() -> dict[str, Path]:
    installed = resources.files("metaopt") / "checkpoints"
    checkout = Path(__file__).parents[2] / "checkpoints"
    folder = Path(str(installed)) if installed.is_dir() else checkout
    files = sorted((folder / _FOLDER).glob(f"*{checkpoint.SUFFIX}"))
    return {file.stem: file for file in files}
