"""Trees of arrays as bytes, and back: every dtype that JAX has, random keys among them."""

import io
import zipfile
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Tree = TypeVar("Tree")


def packed(tree: Any) -> bytes:
    """The leaves of a tree as an npz file."""
    buffer = io.BytesIO()
    arrays = {str(i): _plain(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes, like: Tree) -> Tree:
    """The tree that was packed.

    Args:
      content: what `packed` gave.
      like: a tree of the same structure, shapes and dtypes: arrays, or `jax.ShapeDtypeStruct`s.

    Returns:
      The tree; its leaves are of numpy where those of `like` are, else of JAX.

    Raises:
      ValueError: the content is damaged, or of another structure.
    """
    leaves, treedef = jax.tree.flatten(like)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            kept = [file[str(i)] for i in range(len(file.files))]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"the arrays are damaged: {error}") from None
    expected = [_form(leaf) for leaf in leaves]
    found = [(array.shape, array.dtype) for array in kept]
    if len(found) != len(expected):
        raise ValueError(f"{len(found)} arrays instead of {len(expected)}")
    for i, (has, wants) in enumerate(zip(found, expected, strict=True)):
        if has != wants:
            raise ValueError(f"array {i} is {has[1]} {has[0]} instead of {wants[1]} {wants[0]}")
    return jax.tree.unflatten(treedef, map(_like, leaves, kept))


def _plain(leaf: Any) -> np.ndarray:
    """An array for a file: of a random key, its words; of bfloat16 and its like, the bits."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return array if array.dtype.kind in "biufc" else array.view(f"u{array.dtype.itemsize}")


def _form(leaf: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of `_plain(leaf)`."""
    if _is_key(leaf):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    dtype = np.dtype(leaf.dtype)
    return leaf.shape, dtype if dtype.kind in "biufc" else np.dtype(f"u{dtype.itemsize}")


def _like(leaf: Any, array: np.ndarray) -> Any:
    """A kept array as it was before."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array))
    if isinstance(leaf, np.ndarray):
        return array
    return jnp.asarray(array.view(leaf.dtype))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
