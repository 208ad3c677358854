"""The tensors of a network, those of one shape stacked.

What is done with a tensor is traced and compiled once a shape in place of once a tensor: a deep
network has hundreds of tensors, and some ten shapes. On a GPU it takes as many fewer kernels, too.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_LARGE = 2**20
"""Tensors with more elements than this stay alone, since a copy of theirs takes memory."""


class Stacks(NamedTuple):
    """Which tensors of a tree are stacked.

    Attributes:
      tree: the tree's structure.
      members: for each stack the numbers of its tensors, in the order of the tree's leaves.
      shapes: for each stack the shape of its tensors.
    """

    tree: Any
    members: tuple[tuple[int, ...], ...]
    shapes: tuple[tuple[int, ...], ...]

    def stacked(self, tree: Any) -> list[jax.Array]:
        """The tensors of a tree in float32, each stack with a leading axis."""
        leaves = [jnp.asarray(x, jnp.float32) for x in self.tree.flatten_up_to(tree)]
        return [jnp.stack([leaves[i] for i in members]) for members in self.members]

    def unstacked(self, stacks: Sequence[jax.Array], like: Any) -> Any:
        """The tree that is stacked as given, with the dtypes of another one."""
        leaves = self.tree.flatten_up_to(like)
        for members, stack in zip(self.members, stacks, strict=True):
            for k, i in enumerate(members):
                leaves[i] = stack[k].astype(jnp.result_type(leaves[i]))
        return jax.tree.unflatten(self.tree, leaves)

    def filled(self, make: Callable[[tuple[int, ...]], Any]) -> tuple[Any, ...]:
        """What is made for each shape, arrays or trees of them, once for each tensor."""

        def stack(count: int, shape: tuple[int, ...]) -> Any:
            return jax.tree.map(lambda x: jnp.repeat(x[None], count, axis=0), make(shape))

        return tuple(map(stack, map(len, self.members), self.shapes))

    def split(self, tree: Any) -> list[Any]:
        """For each stack its part of arrays (tensors, ...), which have them stack after stack."""
        found, start = [], 0
        for members in self.members:
            part = slice(start, start + len(members))
            found.append(jax.tree.map(lambda x, part=part: x[part], tree))
            start = part.stop
        return found


def alike(params: Any) -> Stacks:
    """Stack tensors of one shape that are sharded alike."""
    leaves, tree = jax.tree.flatten(params)
    found: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        alone = i if jnp.size(leaf) > _LARGE else None
        sharding = jax.typeof(leaf).sharding
        found.setdefault((jnp.shape(leaf), sharding, alone), []).append(i)
    return Stacks(tree, tuple(map(tuple, found.values())), tuple(shape for shape, *_ in found))


def over(function: Callable[..., Any], *stacks: Sequence[Any]) -> list[Any]:
    """A function of a tensor and of what belongs to it, for all tensors of all stacks."""
    return [_over(function, arguments) for arguments in zip(*stacks, strict=True)]


def _over(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    if members(arguments) == 1:
        found = function(*jax.tree.map(lambda x: x[0], arguments))
        return jax.tree.map(lambda x: x[None], found)
    if jax.default_backend() == "cpu":
        # Were it not a loop, XLA would compute all of it anew for each tensor that is cut out.
        return lax.map(lambda of_one: function(*of_one), arguments)
    return jax.vmap(function)(*arguments)


def unzipped(stacks: Sequence[tuple[Any, ...]]) -> tuple[tuple[Any, ...], ...]:
    """For each result of a function its stacks."""
    return tuple(zip(*stacks, strict=True))


def members(stack: Any) -> int:
    """The number of tensors of a stack."""
    return jax.tree.leaves(stack)[0].shape[0]
