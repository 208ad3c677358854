"""Per-layer learning rates for every parametrization, by powers of the width."""

from collections.abc import Mapping
from typing import Literal

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.factors import scale_updates, width_factors
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.roles import MATRICES, Params, Role, RolesOf, flax_roles

Parametrization = Literal["standard", "ntk", "mup", "mean_field"]
Alignment = Literal["full", "none"]

EXPONENTS: Mapping[Parametrization, Mapping[Alignment, tuple[float, float, float]]] = {
    "standard": {"full": (0.0, 1.0, 1.0), "none": (0.0, 0.5, 0.5)},
    "ntk": {"full": (0.0, 0.5, 0.5), "none": (0.0, 0.0, 0.0)},
    "mup": {"full": (0.5, 1.0, 0.5), "none": (0.5, 0.5, 0.0)},
    "mean_field": {"full": (0.0, 0.5, 0.0), "none": (0.0, 0.0, -0.5)},
}
"""c of embeddings, hidden matrices and heads: the largest stable learning rates are n^-c.

An entry of Adam's step is of the size of the learning rate, so that n of them, multiplied by the
parametrization's constant for the layer, add up to n times that if weights and data are aligned, to
sqrt(n) times that if not. Each rate keeps the sum at O(1). Constants of embeddings, hidden matrices
and heads: standard 1, 1, 1; NTK 1, n^-1/2, n^-1/2; muP n^1/2, 1, n^-1/2; mean field 1, n^-1/2, 1/n.
"""


def per_layer_sp_lr(
    inner: optax.GradientTransformation,
    *,
    parametrization: Parametrization = "standard",
    alignment: Alignment = "full",
    width_ratio: float = 1.0,
    base_params: Params | None = None,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """A learning rate for each layer that stays right when a network is made wider.

    With u the update of the inner optimizer, r the ratio of widths, and c of embeddings, hidden
    matrices and heads as in `EXPONENTS` (standard and full: 0, 1, 1), of vectors 0:

        w <- w + r^-c u

    Args:
      inner: an optimizer whose steps do not depend on the gradient's scale, such as Adam. Its
        learning rate is the narrow network's.
      parametrization: how the network's layers are initialized and multiplied.
      alignment: "full" if weights are taken to align with what they are multiplied by, or "none".
      width_ratio: r of all layers, if `base_params` is None.
      base_params: the narrow network's parameters, or anything with their shapes, such as
        `jax.eval_shape` of its initialization.
      roles: parameters -> the role of each.
      matrix_axes: parameters -> which axes of each are fan-out and fan-in.

    Returns:
      The transformation.

    Raises:
      ValueError: an unknown parametrization or alignment.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = per_layer_sp_lr(optax.adam(1e-3), width_ratio=4)
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Everett et al., "Scaling Exponents Across Parameterizations and Optimizers", 2024,
      arXiv:2407.05872.

    Deviations: exponents for Adam, derived as the paper does; its table was not at hand to compare,
    and the constants that it tunes for each kind of layer are left out.
    """
    try:
        embedding, hidden, head = EXPONENTS[parametrization][alignment]
    except KeyError:
        raise ValueError(
            f"no exponents for parametrization {parametrization!r}, alignment {alignment!r}: "
            f"choose from {', '.join(EXPONENTS)} and full, none"
        ) from None
    exponents: dict[Role, float] = {
        **dict.fromkeys(MATRICES, hidden),
        "embedding": embedding,
        "head": head,
    }
    return scale_updates(
        inner, width_factors(exponents, width_ratio, base_params, roles, matrix_axes)
    )


ROWS = (
    Baseline(
        id="per_layer_sp_lr",
        name="Per-layer learning rates (SP)",
        factory=per_layer_sp_lr,
        kind="wrapper",
        group="scaling_rule",
        title="Scaling Exponents Across Parameterizations and Optimizers",
        authors="Everett et al.",
        year=2024,
        arxiv="2407.05872",
        needs=("roles", "matrix_axes"),
        test={"width_ratio": 2.0},
        test_rate=0.03,
        tuning=tuned(0.3),
        deviations=(
            "Exponents for Adam, derived as the paper does; its table was not at hand to compare, "
            "and the constants that it tunes for each kind of layer are left out."
        ),
        checked=("equations",),
    ),
)
