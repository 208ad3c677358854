"""Trainings under way, kept on disk: a kill loses seconds of them, Ctrl-C nothing."""

import time
from pathlib import Path
from typing import Any, TypeVar

from search.errors import write_whole
from search.trees import packed, unpacked

Tree = TypeVar("Tree")

_SECONDS, _SHARE = 15.0, 0.05
"""A file is written every so often, and in no more than this share of the time."""


class Unfinished:
    """A file with a tree of arrays: how far something is.

    Args:
      path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._again = time.monotonic() + _SECONDS

    def load(self, otherwise: Tree) -> Tree:
        """The tree that was kept, or another of its structure if there is none, or a damaged one.

        A file of other shapes is from another version of this program, and of no use.
        """
        if self._path is None or not self._path.is_file():
            return otherwise
        try:
            return unpacked(self._path.read_bytes(), otherwise)
        except (ValueError, OSError):
            return otherwise

    def due(self) -> bool:
        """Whether it is time to keep what has been done since."""
        return self._path is not None and time.monotonic() >= self._again

    def keep(self, tree: Any) -> None:
        """Write a tree, whole or not at all."""
        if self._path is None:
            return
        began = time.monotonic()
        write_whole(self._path, packed(tree))
        now = time.monotonic()
        self._again = now + max(_SECONDS, (now - began) / _SHARE)
