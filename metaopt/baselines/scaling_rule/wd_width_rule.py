"""Weight decay that grows with the square root of the width, so that it transfers as well."""

from typing import Any

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.factors import scale_updates, width_factors
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.roles import MATRICES, Params, RolesOf, flax_roles


def wd_width_rule(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.1,
    width_ratio: float = 1.0,
    base_params: Params | None = None,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """AdamW with muP's learning rates, and decay such that a layer's gain stays as it is.

    With u = m_hat / (sqrt(v_hat) + eps), as in Adam, and r = fan_in / fan_in of the narrow network:

        w <- w - lr / r (u + weight_decay sqrt(r) w)    hidden matrices
        w <- w - lr u                                   embeddings, heads and vectors

    Args:
      learning_rate: the narrow network's: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: the narrow network's; decoupled, multiplied by the learning rate.
      width_ratio: r of all matrices, if `base_params` is None.
      base_params: the narrow network's parameters, or anything with their shapes, such as
        `jax.eval_shape` of its initialization.
      roles: parameters -> the role of each.
      matrix_axes: parameters -> which axes of each are fan-out and fan-in.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = wd_width_rule(1e-3, width_ratio=4)
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Fan et al., "Robust Layerwise Scaling Rules by Proper Weight Decay Tuning", 2025,
      arXiv:2510.15262.

    Deviations: an optimizer and not a wrapper, since rate and decay scale apart. Heads count as
    vectors, as where muP multiplies a network's outputs; the paper's own choice could not be
    confirmed.
    """

    def powers(exponent: float) -> Any:
        exponents = dict.fromkeys(MATRICES, exponent)
        return width_factors(exponents, width_ratio, base_params, roles, matrix_axes)

    def decay(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        params = require_params(params, "wd_width_rule")

        def decayed(u: jax.Array, w: jax.Array, role: str, root: float) -> jax.Array:
            if role not in MATRICES:
                return u
            return (u + weight_decay * root * w).astype(u.dtype)

        return jax.tree.map(decayed, updates, params, roles(params), powers(-0.5)(params))

    optimizer = optax.chain(
        optax.scale_by_adam(b1, b2, eps),
        optax.stateless(decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    return scale_updates(optimizer, powers(1.0))


ROWS = (
    Baseline(
        id="wd_width_rule",
        name="Width-robust weight decay",
        factory=wd_width_rule,
        group="scaling_rule",
        title="Robust Layerwise Scaling Rules by Proper Weight Decay Tuning",
        authors="Fan et al.",
        year=2025,
        arxiv="2510.15262",
        needs=("params", "roles", "matrix_axes"),
        test={"width_ratio": 2.0},
        test_rate=0.03,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "An optimizer and not a wrapper, since rate and decay scale apart. Heads count as "
            "vectors, as where muP multiplies a network's outputs; the paper's own choice could "
            "not be confirmed."
        ),
        checked=("equations",),
    ),
)
