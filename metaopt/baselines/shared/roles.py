"""What each parameter is in its network, by the names that flax gives it.

Some methods treat embeddings, heads or the parts of attention differently. They take `roles`,
a function of the parameters that returns a tree with one `Role` for each, `flax_roles` if not told.
A network with other names passes its own.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

import jax

Params = Any

Role = Literal["embedding", "query_key", "value_output", "hidden", "head", "norm", "vector"]
"""What a parameter is.

- embedding: a table with one row for each token or position.
- query_key, value_output: the matrices of attention, or a fused query-key-value one (query_key).
- hidden: every other matrix or convolution kernel.
- head: the last layer's matrix, which makes logits or predictions.
- norm: scales and biases of normalization layers.
- vector: every other bias, vector or scalar, and whatever is empty.
"""

MATRICES: frozenset[Role] = frozenset({"query_key", "value_output", "hidden"})
"""Roles of what methods for matrices train; the others go to their fallback."""

RolesOf = Callable[[Params], Any]
"""parameters -> a tree of the same structure with the `Role` of each."""

_HEAD = re.compile(r"head|logits|readout|classifier|unembed", re.IGNORECASE)
_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
_QUERY_KEY = {"query", "key", "qkv", "q_proj", "k_proj", "wq", "wk"}
_VALUE_OUTPUT = {"value", "out", "v_proj", "o_proj", "wv", "wo"}


def flax_roles(params: Params) -> Any:
    """The role of each parameter, by flax's names: `embedding`, `query`, `LayerNorm_0`, `head`, ...

    A head is a module whose name contains head, logits, readout, classifier or unembed; attention's
    `multihead` modules do not count.
    """
    return jax.tree_util.tree_map_with_path(role_of, params)


def names_of(path: tuple[Any, ...]) -> tuple[str, ...]:
    """A key path's entries as text: ('block_1', 'query', 'kernel')."""
    return tuple(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def role_of(path: tuple[Any, ...], leaf: Any) -> Role:
    """The role of one parameter.

    Args:
      path: its key path in the tree.
      leaf: the array, or anything with `ndim` and `size`.
    """
    names = names_of(path)
    # The biases of attention's projections have two axes, (heads, size).
    if leaf.ndim < 2 or leaf.size == 0 or "bias" in names:
        within = any("norm" in name.lower() for name in names) or "scale" in names
        return "norm" if within else "vector"
    if any(name == "embedding" or "position" in name for name in names):
        return "embedding"
    modules = {name for name in names if not re.search(r"multi_?head", name, re.IGNORECASE)}
    if any(_HEAD.search(name) for name in modules):
        return "head"
    if modules & _QUERY_KEY:
        return "query_key"
    if modules & (_VALUE_OUTPUT - {"out"}):
        return "value_output"
    within = any(_ATTENTION.search(name) for name in names)
    return "value_output" if within and "out" in modules else "hidden"
