"""LISA: a few layers at a time, drawn by lot, and always the embedding and the head."""

from typing import Any

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.blocks import BlocksOf, branches, train_in_turn
from metaopt.baselines.shared.roles import MATRICES, Params, RolesOf, flax_roles


def lisa(
    inner: optax.GradientTransformation,
    *,
    active: int = 2,
    period: int = 20,
    blocks: BlocksOf = branches,
    roles: RolesOf = flax_roles,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """LISA: every K steps a few layers are drawn, which are trained with what is in no layer.

    With A the layers that are active, and u the update of the inner optimizer for each:

        every K steps:  A <- layers drawn without replacement;  their states <- the first
        w_b <- w_b + u(g_b)    for b in A, and for embeddings, heads and norms between layers

    Args:
      inner: AdamW, or another optimizer that treats each number on its own. The counts of its
        schedules go on.
      active: how many layers are active at a time: gamma of the paper.
      period: K.
      blocks: parameters -> the name of each one's block; default: by the first name in which
        parameters differ. Blocks with hidden or attention matrices are layers; all others are
        trained always.
      roles: parameters -> the role of each.
      seed: of the lots.

    Returns:
      The transformation. Its state is the inner optimizer's for what is in no layer, and `active`
      times that for the largest layer.

    Raises:
      ValueError: `active` or `period` is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = lisa(optax.adamw(1e-3), active=1)
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}, "head": {"kernel": jnp.ones((3, 2))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Pan et al., "LISA: Layerwise Importance Sampling for Memory-Efficient Large Language Model
      Fine-Tuning", 2024, arXiv:2403.17919; OptimalScale/LMFlow.

    Deviations: a layer's state starts afresh when it is drawn, which the paper leaves open and its
    memory needs. Gradients of frozen layers are taken and not used; that memory is not saved.
    """

    def layers(params: Params) -> Any:
        names, treedef = jax.tree.flatten(blocks(params), is_leaf=lambda name: name is None)
        pairs = list(zip(names, treedef.flatten_up_to(roles(params)), strict=True))
        drawn = {name for name, role in pairs if role in MATRICES}
        return jax.tree.unflatten(treedef, [n if n in drawn else None for n in names])

    def choose(key: jax.Array, turn: jax.Array, number: int) -> jax.Array:
        return jax.random.permutation(jax.random.fold_in(key, turn), number)

    return train_in_turn(inner, layers, period=period, active=active, choose=choose, seed=seed)


ROWS = (
    Baseline(
        id="lisa",
        name="LISA",
        factory=lisa,
        kind="wrapper",
        group="memory_efficient",
        title=(
            "LISA: Layerwise Importance Sampling for Memory-Efficient Large Language Model "
            "Fine-Tuning"
        ),
        authors="Pan et al.",
        year=2024,
        arxiv="2403.17919",
        needs=("roles", "seed"),
        test={"active": 1, "period": 2},
        test_rate=0.1,
        tuning=tuned(0.3),
        deviations=(
            "A layer's state starts afresh when it is drawn, which the paper leaves open and its "
            "memory needs. Gradients of frozen layers are taken and not used; that memory is not "
            "saved."
        ),
        checked=("equations",),
    ),
)
