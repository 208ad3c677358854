"""HiFT: groups of layers take turns, one step each."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.blocks import Blocks, BlocksOf, Order, block_in_order, branches


class HiFtState(NamedTuple):
    """State of `hift`.

    Attributes:
      count: int32 (), steps taken.
      inner: the inner optimizer's, a list with one for each group.
    """

    count: Any
    inner: list[optax.OptState]


def hift(
    inner: optax.GradientTransformation,
    *,
    group_size: int = 1,
    order: Order = "ascending",
    blocks: BlocksOf = branches,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """HiFT: each step trains one group of layers, with its own state.

    With b the active group, u the update of its inner optimizer, and a schedule's time the number
    of times around:

        b <- the next group
        w_b <- w_b + u_b(g_b)

    Args:
      inner: the optimizer. Each group has one, so that schedules take a step when all groups have
        had their turn.
      group_size: layers in a group.
      order: of groups: "ascending" (bottom2up), "descending" (top2down), or "random", drawn once.
      blocks: parameters -> the name of each one's layer; default: by the first name in which
        parameters differ. What has None is not trained.
      seed: of the random order.

    Returns:
      The transformation.

    Raises:
      ValueError: `group_size` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = hift(optax.adamw(1e-3))
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}, "Dense_1": {"bias": jnp.ones(3)}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liu et al., "HiFT: A Hierarchical Full Parameter Fine-Tuning Strategy", 2024,
      arXiv:2401.15207; misonsky/HiFT.

    Deviations: the authors' code keeps states of groups that wait in the host's memory, and takes
    no gradients for them. Here all states stay where the parameters are: no memory is saved.
    """
    if group_size < 1:
        raise ValueError(f"group_size must be at least 1, not {group_size}")
    inner = optax.with_extra_args_support(inner)

    def groups_of(layout: Blocks) -> list[list[int]]:
        members = layout.members
        starts = range(0, len(members), group_size)
        return [list(itertools.chain(*members[i : i + group_size])) for i in starts]

    def init(params: optax.Params) -> HiFtState:
        layout = Blocks(params, blocks)
        leaves = layout.leaves(params)
        states = [inner.init([leaves[i] for i in group]) for group in groups_of(layout)]
        return HiFtState(jnp.zeros((), jnp.int32), states)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, HiFtState]:
        layout = Blocks(updates, blocks)
        groups = groups_of(layout)
        gradients = layout.leaves(updates)
        weights = None if params is None else layout.leaves(params)
        steps = [jnp.zeros_like(g) for g in gradients]
        states = list(state.inner)

        def train(*args: Any) -> Any:
            return inner.update(*args, **extra_args)

        def wait(*args: Any) -> Any:
            still, _ = jax.eval_shape(train, *args)
            return optax.tree.zeros_like(still), args[1]

        for number, group in enumerate(groups):
            moved, states[number] = jax.lax.cond(
                _turn(order, state.count, len(groups), seed) == number,
                train,
                wait,
                [gradients[i] for i in group],
                state.inner[number],
                None if weights is None else [weights[i] for i in group],
            )
            for i, step in zip(group, moved, strict=True):
                steps[i] = step
        count = optax.safe_increment(state.count)
        return layout.tree(steps), HiFtState(count, states)

    return optax.GradientTransformationExtraArgs(init, update)


def _turn(order: Order, count: jax.Array, number: int, seed: int) -> jax.Array:
    if order == "random":
        return jax.random.permutation(jax.random.key(seed), number)[count % number]
    return block_in_order(order, jax.random.key(seed), count, number)


ROWS = (
    Baseline(
        id="hift",
        name="HiFT",
        factory=hift,
        kind="wrapper",
        group="memory_efficient",
        title="HiFT: A Hierarchical Full Parameter Fine-Tuning Strategy",
        authors="Liu et al.",
        year=2024,
        arxiv="2401.15207",
        test_rate=0.1,
        tuning=tuned(0.3),
        deviations=(
            "The authors' code keeps states of groups that wait in the host's memory, and takes no "
            "gradients for them. Here all states stay where the parameters are: no memory is saved."
        ),
        checked=("equations",),
    ),
)
