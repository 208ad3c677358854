"""Trainings under way, kept on disk: a kill loses seconds of them, Ctrl-C nothing."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from search.errors import write_whole

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
        leaves, treedef = jax.tree.flatten(otherwise)
        try:
            with np.load(io.BytesIO(self._path.read_bytes()), allow_pickle=False) as file:
                kept = [file[str(i)] for i in range(len(file.files))]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            return otherwise
        expected = [(leaf.shape, leaf.dtype) for leaf in map(_plain, leaves)]
        if [(array.shape, array.dtype) for array in kept] != expected:
            return otherwise
        return jax.tree.unflatten(treedef, map(_like, leaves, kept))

    def due(self) -> bool:
        """Whether it is time to keep what has been done since."""
        return self._path is not None and time.monotonic() >= self._again

    def keep(self, tree: Any) -> None:
        """Write a tree, whole or not at all."""
        if self._path is None:
            return
        began = time.monotonic()
        buffer = io.BytesIO()
        arrays = {str(i): _plain(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
        np.savez(buffer, allow_pickle=False, **arrays)
        write_whole(self._path, buffer.getvalue())
        now = time.monotonic()
        self._again = now + max(_SECONDS, (now - began) / _SHARE)


def _plain(leaf: Any) -> np.ndarray:
    """An array for a file: of a random key, its words; of bfloat16 and its like, the bits."""
    if _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return array if array.dtype.kind in "biufc" else array.view(f"u{array.dtype.itemsize}")


def _like(leaf: Any, array: np.ndarray) -> Any:
    """A kept array as it was before."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array))
    if isinstance(leaf, np.ndarray):
        return array
    return jnp.asarray(array.view(leaf.dtype))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
