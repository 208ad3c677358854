"""Blockwise Adam, with one second moment for each block of parameters."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import total

_DEVIATIONS = (
    "The paper's text was not available: bias corrections and the place of eps are those of Adam."
)

BlocksOf = Callable[[Any], Any]
"""parameters -> a tree of the same structure with the label of the block of each."""


def one_block_per_array(params: optax.Params) -> Any:
    """Each array is a block, labelled by its key path."""
    return jax.tree_util.tree_map_with_path(lambda path, _: jax.tree_util.keystr(path), params)


def one_block(params: optax.Params) -> Any:
    """Everything is a single block, which makes blockwise Adam AdaSGD."""
    return jax.tree.map(lambda _: "all", params)


class BlockwiseAdamState(NamedTuple):
    """State of `scale_by_blockwise_adam`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters.
      v: tuple with a scalar for each block, in the order of their first arrays: moving average of
        the mean square of its gradients.
    """

    count: Any
    m: optax.Updates
    v: Any


def scale_by_blockwise_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    blocks: BlocksOf = one_block_per_array,
) -> optax.GradientTransformationExtraArgs:
    """Rescale momentum by the root mean square of its block's gradients; see `blockwise_adam`."""

    def init(params: optax.Params) -> BlockwiseAdamState:
        m = optax.tree.zeros_like(params)
        squares, _ = _mean_squares(params, blocks(params))
        v = optax.tree.zeros_like(squares)
        return BlockwiseAdamState(jnp.zeros((), jnp.int32), m, v)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, BlockwiseAdamState]:
        del extra_args
        labels = blocks(updates if params is None else params)
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        squares, block_of = _mean_squares(updates, labels)
        v = optax.tree.update_moment(squares, state.v, b2, 1)
        m_hat = optax.tree.bias_correction(m, b1, count)
        v_hat = optax.tree.bias_correction(v, b2, count)

        def step(m: jax.Array, block: int) -> jax.Array:
            return (m / (jnp.sqrt(v_hat[block]) + eps)).astype(m.dtype)

        return jax.tree.map(step, m_hat, block_of), BlockwiseAdamState(count, m, v)

    return optax.GradientTransformationExtraArgs(init, update)


def _mean_squares(updates: optax.Updates, labels: Any) -> tuple[tuple[jax.Array, ...], Any]:
    """The mean square of each block's entries, and the number of each array's block."""
    leaves, treedef = jax.tree.flatten(updates)
    names = treedef.flatten_up_to(labels)
    members: dict[Hashable, list[jax.Array]] = {name: [] for name in names}
    for leaf, name in zip(leaves, names, strict=True):
        members[name].append(leaf)
    means = tuple(
        total(jax.tree.map(jnp.square, block)) / max(sum(leaf.size for leaf in block), 1)
        for block in members.values()
    )
    numbers = {name: number for number, name in enumerate(members)}
    return means, jax.tree.unflatten(treedef, [numbers[name] for name in names])


def blockwise_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    blocks: BlocksOf = one_block_per_array,
) -> optax.GradientTransformationExtraArgs:
    """Blockwise Adam: from Adam, a block for each coordinate, to AdaSGD, a single block for all.

    For each block b of d_b coordinates, with hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v_b <- b2 v_b + (1 - b2) ||g_b||^2 / d_b
        w_b <- w_b - lr m_hat_b / (sqrt(v_hat_b) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the mean square's average.
      eps: added to the denominator.
      blocks: parameters -> the label of each array's block; arrays of the same label share one
        second moment. Default: `one_block_per_array`. `one_block` makes AdaSGD.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = blockwise_adam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Xie, Mohamadi, Li, "Adam Exploits l_inf-geometry of Loss Landscape via Coordinate-wise
      Adaptivity", 2024, arXiv:2410.08198.

    Deviations:
      The paper's text was not available: bias corrections and the place of eps are those of Adam.
    """
    return optax.chain(
        scale_by_blockwise_adam(b1, b2, eps, blocks=blocks),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="blockwise_adam",
        name="Blockwise Adam",
        factory=blockwise_adam,
        group="adaptive",
        title="Adam Exploits l_inf-geometry of Loss Landscape via Coordinate-wise Adaptivity",
        authors="Xie, Mohamadi, Li",
        year=2024,
        arxiv="2410.08198",
        tuning=tuned(0.3),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
)
