"""BAdam: block coordinate descent with Adam."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.blocks import (
    BlocksOf,
    Order,
    block_in_order,
    branches,
    train_in_turn,
)


def badam(
    inner: optax.GradientTransformation,
    *,
    period: int = 50,
    order: Order = "descending",
    blocks: BlocksOf = branches,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """BAdam: one block of a network is trained for K steps, then the next, from a fresh state.

    With b the active block, and u the update of the inner optimizer for it:

        every K steps:  b <- the next block;  state of the inner optimizer <- its first
        w_b <- w_b + u(g_b)

    Args:
      inner: Adam, or another optimizer that treats each number on its own. The counts of its
        schedules go on from block to block.
      period: K.
      order: of blocks: "descending" (the last one first), "ascending" or "random".
      blocks: parameters -> the name of each one's block; default: the network's layers, by the
        first name in which parameters differ.
      seed: of random orders.

    Returns:
      The transformation. Its state is the inner optimizer's for the largest block.

    Raises:
      ValueError: `period` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = badam(optax.adam(1e-3))
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}, "Dense_1": {"bias": jnp.ones(3)}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Luo et al., "BAdam: A Memory Efficient Full Parameter Training Method for Large Language
      Models", 2024, arXiv:2404.02827; Ledzy/BAdam.

    Deviations: gradients of frozen blocks are taken and not used, which the authors' code does not
    do; that memory is not saved. Embeddings and heads are blocks like others. The authors' first
    block has one step less.
    """
    return train_in_turn(
        inner,
        blocks,
        period=period,
        active=1,
        choose=lambda key, turn, number: block_in_order(order, key, turn, number)[None],
        seed=seed,
    )


ROWS = (
    Baseline(
        id="badam",
        name="BAdam",
        factory=badam,
        kind="wrapper",
        group="memory_efficient",
        title=(
            "BAdam: A Memory Efficient Full Parameter Training Method for Large Language Models"
        ),
        authors="Luo et al.",
        year=2024,
        arxiv="2404.02827",
        test={"period": 2},
        test_rate=0.1,
        tuning=tuned(0.3),
        deviations=(
            "Gradients of frozen blocks are taken and not used, which the authors' code does not "
            "do; that memory is not saved. Embeddings and heads are blocks like others. The "
            "authors' first block has one step less."
        ),
        checked=("equations",),
    ),
)
