"""Trees whose leaves are tuples, and tuples of trees."""

from typing import Any

import jax


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
