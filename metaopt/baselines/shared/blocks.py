"""Networks as lists of blocks, a few of which are trained at a time.

`train_in_turn` has an optimizer's state for the active blocks alone. Arrays have static shapes, so
an active block is a vector as long as the largest block, filled up with zeros, and the optimizer
must treat each number on its own: Adam, SGD, Lion.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.shared.roles import Params, names_of

BlocksOf = Callable[[Params], Any]
"""parameters -> a tree of the same structure with the name of each one's block, None for what is
trained always. Blocks are ordered by name, in which numbers count as numbers."""

Order = Literal["ascending", "descending", "random"]


def branches(params: Params) -> Any:
    """Blocks by the first name in which parameters differ, such as those of a network's layers."""
    paths = [names_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    alike = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    shared = len(list(alike))
    names = [path[shared] if len(path) > shared else "" for path in paths]
    return jax.tree.unflatten(jax.tree.structure(params), names)


class Blocks:
    """Which parameters are in which block.

    Attributes:
      members: of each block, the indices of its leaves.
      always: the indices of leaves in no block.
      size: numbers in the largest block.
    """

    def __init__(self, params: Params, blocks: BlocksOf):
        self._leaves, self._treedef = jax.tree.flatten(params)
        names = self._treedef.flatten_up_to(blocks(params))
        order = sorted({name for name in names if name is not None}, key=_natural)
        self.members = [[i for i, n in enumerate(names) if n == name] for name in order]
        self.always = [i for i, n in enumerate(names) if n is None]
        self.size = max(map(self._size, self.members), default=0)
        self._dtype = jnp.result_type(*self._leaves) if self._leaves else jnp.result_type(float)

    def empty(self, count: int) -> jax.Array:
        """Zeros for so many blocks: (count, size)."""
        return jnp.zeros((count, self.size), self._dtype)

    def leaves(self, tree: Any) -> list[Any]:
        return self._treedef.flatten_up_to(tree)

    def tree(self, leaves: Sequence[Any]) -> Any:
        return jax.tree.unflatten(self._treedef, leaves)

    def gather(self, leaves: Sequence[jax.Array], block: jax.Array) -> jax.Array:
        """One block's numbers, (size,)."""

        def flat(members: Sequence[int], leaves: Sequence[jax.Array]) -> jax.Array:
            parts = [leaves[i].ravel().astype(self._dtype) for i in members]
            return jnp.concatenate([*parts, self.empty(1)[0, self._size(members) :]])

        return jax.lax.switch(block, [partial(flat, members) for members in self.members], leaves)

    def scatter(
        self, leaves: Sequence[jax.Array], block: jax.Array, flat: jax.Array
    ) -> list[jax.Array]:
        """The leaves with one block's numbers replaced."""

        def put(
            members: Sequence[int], leaves: Sequence[jax.Array], flat: jax.Array
        ) -> list[jax.Array]:
            leaves, start = list(leaves), 0
            for i in members:
                part = jax.lax.slice(flat, (start,), (start + leaves[i].size,))
                leaves[i] = part.reshape(leaves[i].shape).astype(leaves[i].dtype)
                start += leaves[i].size
            return leaves

        puts = [partial(put, members) for members in self.members]
        return jax.lax.switch(block, puts, list(leaves), flat)

    def _size(self, members: Sequence[int]) -> int:
        return sum(self._leaves[i].size for i in members)


class InTurnState(NamedTuple):
    """State of `train_in_turn`.

    Attributes:
      count: int32 (), steps taken.
      key: of the random numbers that choose blocks.
      always: the optimizer's, of parameters in no block.
      active: the optimizer's, of the active blocks.
    """

    count: Any
    key: jax.Array
    always: optax.OptState
    active: optax.OptState


def train_in_turn(
    inner: optax.GradientTransformation,
    blocks: BlocksOf,
    *,
    period: int,
    active: int,
    choose: Callable[[jax.Array, jax.Array, int], jax.Array],
    seed: int,
) -> optax.GradientTransformationExtraArgs:
    """Train a few blocks for a period, then others; each time with a fresh state.

    Args:
      inner: the optimizer. The counts of its schedules go on when its state starts afresh.
      blocks: parameters -> the block of each.
      period: steps for which blocks are active.
      active: how many are active at a time, at most all.
      choose: (key, int32 period's number, number of blocks) -> int32 (active,), which are active.
      seed: of the key.

    Raises:
      ValueError: `period` or `active` is less than 1.
    """
    if period < 1 or active < 1:
        raise ValueError(f"periods and active blocks must be at least 1, not {period}, {active}")
    inner = optax.with_extra_args_support(inner)

    def init(params: Params) -> InTurnState:
        layout = Blocks(params, blocks)
        leaves = layout.leaves(params)
        return InTurnState(
            jnp.zeros((), jnp.int32),
            jax.random.key(seed),
            inner.init([leaves[i] for i in layout.always]),
            inner.init(layout.empty(min(active, len(layout.members)))),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, InTurnState]:
        layout = Blocks(updates, blocks)
        gradients = layout.leaves(updates)
        weights = None if params is None else layout.leaves(params)

        always = layout.always
        moved, always_state = inner.update(
            [gradients[i] for i in always],
            state.always,
            None if weights is None else [weights[i] for i in always],
            **extra_args,
        )
        steps = [jnp.zeros_like(g) for g in gradients]
        for i, step in zip(always, jax.tree.leaves(moved), strict=True):
            steps[i] = step

        number = len(layout.members)
        chosen = choose(state.key, state.count // period, number)[:active] if number else ()

        def gathered(leaves: Sequence[jax.Array] | None) -> Any:
            if leaves is None:
                return None
            return jnp.stack([layout.gather(leaves, block) for block in chosen])

        fresh = inner.init(layout.empty(len(chosen)))
        active_state = restarted(state.active, fresh, state.count % period == 0)
        if number:
            flat, active_state = inner.update(
                gathered(gradients), active_state, gathered(weights), **extra_args
            )
            for block, part in zip(chosen, jnp.asarray(flat), strict=True):
                steps = layout.scatter(steps, block, part)
        count = optax.safe_increment(state.count)
        return layout.tree(steps), InTurnState(count, state.key, always_state, active_state)

    return optax.GradientTransformationExtraArgs(init, update)


def block_in_order(order: Order, key: jax.Array, turn: jax.Array, number: int) -> jax.Array:
    """The block whose turn it is: each once, in some order, and again.

    Args:
      order: "ascending", "descending", or "random": in a new order each time around.
      key: of the random orders.
      turn: int32 (), blocks before this one.
      number: of blocks.
    """
    place = turn % number
    if order == "random":
        return jax.random.permutation(jax.random.fold_in(key, turn // number), number)[place]
    return place if order == "ascending" else number - 1 - place


def restarted(state: Any, fresh: Any, when: jax.Array) -> Any:
    """An optimizer's state, or a fresh one; but schedules and injected hyperparameters go on."""

    def leaf(state: Any, fresh: Any) -> Any:
        if isinstance(state, optax.ScaleByScheduleState):
            return state
        if isinstance(state, _INJECTED):
            return state._replace(inner_state=restarted(state.inner_state, fresh.inner_state, when))
        return jnp.where(when, fresh, state)

    kept = (optax.ScaleByScheduleState, *_INJECTED)
    return jax.tree.map(leaf, state, fresh, is_leaf=lambda node: isinstance(node, kept))


_INJECTED = (optax.InjectHyperparamsState, optax.InjectStatefulHyperparamsState)


def _natural(name: Any) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", str(name))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
