"""Trees whose leaves are tuples, tuples of trees, and the arrays that states begin with."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def unzipped(like: Any, tuples: Any, count: int) -> tuple[Any, ...]:
    """A tree of tuples as a tuple of trees.

    Args:
      like: a tree of the structure above the tuples.
      tuples: a tree with a tuple, of `count` entries, at every leaf of `like`.
      count: how many trees to make; also where there is no leaf.
    """

    def part(i: int) -> Any:
        return jax.tree.map(lambda _, entry: entry[i], like, tuples)

    return tuple(part(i) for i in range(count))


def zeros_like(tree: Any, count: int) -> tuple[Any, ...]:
    """Trees of zeros with the shapes and dtypes of one.

    Each has arrays of its own: a step that is given a state to overwrite, as `jax.jit` does with
    `donate_argnums`, may not be given the same array twice. For the same reason a state that starts
    at the parameters holds copies of them.

    Args:
      tree: arrays.
      count: how many trees to make.
    """
    return tuple(jax.tree.map(jnp.zeros_like, tree) for _ in range(count))


def on_leaves(
    transformation: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """A transformation that sees a tree as the tuple of its arrays, in order.

    For methods whose state has a tuple or a dictionary for each array. In a tree like the
    parameters such a one would stand in an array's place, and where that tree is a `State` of
    flax's nnx, as under `nnx.Optimizer`, flax makes another `State` of it after the first step.

    Args:
      transformation: it may not look at names.
    """
    inner = optax.with_extra_args_support(transformation)

    def init(params: optax.Params) -> optax.OptState:
        return inner.init(tuple(jax.tree.leaves(params)))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        leaves, treedef = jax.tree.flatten(updates)
        weights = None if params is None else tuple(treedef.flatten_up_to(params))
        moved, state = inner.update(tuple(leaves), state, weights, **extra_args)
        return jax.tree.unflatten(treedef, jax.tree.leaves(moved)), state

    return optax.GradientTransformationExtraArgs(init, update)
