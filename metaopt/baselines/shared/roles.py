"""What each parameter is in its network, by the names that flax gives it.

Some methods treat embeddings, heads or the parts of attention differently. They take `roles`,
a function of the parameters that returns a tree with one `Role` for each, `flax_roles` if not told.
A network with other names passes its own.
"""

import re
from collections.abc import Callable, Iterable
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

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_EMBEDDING = {"embedding", "embeddings", "embed", "embeds", "pos", "cls"}
_POSITION = {"position", "positions", "positional"}
_HEAD = {"head", "logits", "readout", "classifier", "unembed", "unembedding"}
_NORM = re.compile(r"norm$|^norms$|^normali[sz]ation$|^ln$|^bn$")
_NORMS_OWN = {"scale", "bias", "weight", "gamma", "beta"}
_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
_QUERY_KEY = {"query", "key", "qkv", "q_proj", "k_proj", "wq", "wk"}
_VALUE_OUTPUT = {"value", "out", "v_proj", "o_proj", "wv", "wo"}


def flax_roles(params: Params) -> Any:
    """The role of each parameter, by flax's names: `embedding`, `query`, `LayerNorm_0`, `head`, ...

    Names count by their words, which end at `_`, `/`, digits and where case changes. A head has one
    of head, logits, readout, classifier, unembed and unembedding, but `MultiHead...` and modules of
    attention do not count. An embedding is called so: by embed, embedding, position, positional,
    pos or cls; but a `kernel` in a module of such a name is a layer's matrix like others, unless
    the module is just called `embedding`, or has positions.
    """
    return jax.tree_util.tree_map_with_path(role_of, params)


def names_of(path: tuple[Any, ...]) -> tuple[str, ...]:
    """A key path's entries as text: ('block_1', 'query', 'kernel').

    Without the `value` that the parameters of flax's nnx are held in, which `nnx.Optimizer` lets an
    `init` see, but no `update`.
    """
    if path and path[-1] == jax.tree_util.GetAttrKey("value"):
        path = path[:-1]
    return tuple(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def role_of(path: tuple[Any, ...], leaf: Any) -> Role:
    """The role of one parameter.

    Args:
      path: its key path in the tree.
      leaf: the array, or anything with `ndim` and `size`.
    """
    names = names_of(path)
    own = names[-1] if names else ""
    # Some normalizations have scales of as many axes as what they normalize.
    if own in _NORMS_OWN and any(_NORM.search(word) for word in _words(names[-2:-1])):
        return "norm"
    # The biases of attention's projections have two axes, (heads, size).
    if leaf.ndim < 2 or leaf.size == 0 or "bias" in names:
        within = any(_NORM.search(word) for word in _words(names)) or "scale" in names
        return "norm" if within else "vector"
    if "embedding" in names or _POSITION & _words(names):
        return "embedding"
    attention = {name for name in names if _ATTENTION.search(name)}
    modules = {n for n in names if not re.search(r"multi_?head", n, re.IGNORECASE)} - attention
    if _HEAD & _words(modules):
        return "head"
    if own != "kernel" and _EMBEDDING & _words(names):
        return "embedding"
    if _QUERY_KEY.intersection(names):
        return "query_key"
    if (_VALUE_OUTPUT - {"out"}).intersection(names):
        return "value_output"
    return "value_output" if attention and "out" in names else "hidden"


def _words(names: Iterable[str]) -> set[str]:
    """The words of names: of `LayerNorm_0` layer and norm."""
    return {word.lower() for name in names for word in _WORD.findall(name)}
