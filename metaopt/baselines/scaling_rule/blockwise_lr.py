"""Blockwise learning rates: the flatter the loss along a kind of block, the larger its steps."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.memory_efficient.adam_mini import adam_mini
from metaopt.baselines.shared.factors import role_factors, scale_updates
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles

MULTIPLIERS: Mapping[Role, float] = MappingProxyType(
    {"embedding": 10.0, "query_key": 8.0, "hidden": 6.0, "value_output": 4.0, "head": 10.0}
)
"""The authors', relative to normalization layers; everything not named has theirs, 1."""


def blockwise_lr(
    inner: optax.GradientTransformation,
    *,
    multipliers: Mapping[Role, float] = MULTIPLIERS,
    roles: RolesOf = flax_roles,
) -> optax.GradientTransformationExtraArgs:
    """A learning rate for each kind of block of a transformer.

    With u the update of the inner optimizer, and c = 10 for embeddings and heads, 8 for queries and
    keys, 6 for feedforward matrices, 4 for values and outputs, and 1 for everything else:

        w <- w + c u

    Args:
      inner: the optimizer, whose learning rate is that of normalization layers: the largest that is
        stable without multipliers.
      multipliers: c of each role; 1 for those not named.
      roles: parameters -> the role of each.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = blockwise_lr(optax.adamw(1e-4))
      >>> params = {"attention": {"query": {"kernel": jnp.ones((4, 2, 2))}}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wang et al., "The Sharpness Disparity Principle in Transformers for Accelerating Language
      Model Pre-Training", 2025, arXiv:2502.19002; Wongboo/BlockwiseLearningRate.

    Deviations: multiplies weight decay inside the inner optimizer as well, as the authors' code
    does. Heads have the embeddings' multiplier; theirs is a setting without default there.
    """
    return scale_updates(inner, role_factors(multipliers, roles))


def blockwise_lr_adam_mini(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    multipliers: Mapping[Role, float] = MULTIPLIERS,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Blockwise learning rates around Adam-mini.

    With u the update of `adam_mini`, and c as in `blockwise_lr`:

        w <- w + c u

    Args:
      learning_rate: that of normalization layers: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate and by c.
      multipliers: c of each role; 1 for those not named.
      roles: parameters -> the role of each.
      matrix_axes: parameters -> which axes of each are outputs and inputs.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = blockwise_lr_adam_mini(1e-4)
      >>> params = {"attention": {"query": {"kernel": jnp.ones((4, 2, 2))}}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wang et al., "The Sharpness Disparity Principle in Transformers for Accelerating Language
      Model Pre-Training", 2025, arXiv:2502.19002; Wongboo/BlockwiseLearningRate.

    Deviations: as in `blockwise_lr` and `adam_mini`.
    """
    inner = adam_mini(
        learning_rate, b1, b2, eps, weight_decay=weight_decay, roles=roles, matrix_axes=matrix_axes
    )
    return blockwise_lr(inner, multipliers=multipliers, roles=roles)


_PAPER: dict[str, Any] = {
    "group": "scaling_rule",
    "title": (
        "The Sharpness Disparity Principle in Transformers for Accelerating Language Model "
        "Pre-Training"
    ),
    "authors": "Wang et al.",
    "year": 2025,
    "arxiv": "2502.19002",
}

ROWS = (
    Baseline(
        id="blockwise_lr",
        name="Blockwise learning rates",
        factory=blockwise_lr,
        kind="wrapper",
        needs=("roles",),
        tuning=tuned(0.03),
        deviations=(
            "Multiplies weight decay inside the inner optimizer as well, as the authors' code "
            "does. Heads have the embeddings' multiplier; theirs is a setting without default "
            "there."
        ),
        checked=("equations",),
        **_PAPER,
    ),
    Baseline(
        id="blockwise_lr_adam_mini",
        name="Blockwise learning rates with Adam-mini",
        factory=blockwise_lr_adam_mini,
        needs=("params", "roles", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.03, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + m),
        deviations="As in blockwise_lr and adam_mini.",
        checked=("equations",),
        **_PAPER,
    ),
)
