"""muP for Adam: learning rates that stay right when a network is made wider."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.factors import scale_updates, width_factors
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.roles import MATRICES, Params, Role, RolesOf, flax_roles

_EXPONENTS: dict[Role, float] = {**dict.fromkeys(MATRICES, 1.0), "head": 1.0}


def mup_adam(
    inner: optax.GradientTransformation,
    *,
    width_ratio: float = 1.0,
    base_params: Params | None = None,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Maximal update parametrization: a matrix takes smaller steps, the wider it is.

    With u the update of the inner optimizer, and r = fan_in / fan_in of the narrow network:

        w <- w + u / r    hidden matrices and heads
        w <- w + u        embeddings, biases and other vectors

    Args:
      inner: an optimizer whose steps do not depend on the gradient's scale; not SGD. Its learning
        rate is the narrow network's.
      width_ratio: r of all matrices, if `base_params` is None.
      base_params: the narrow network's parameters, or anything with their shapes, such as
        `jax.eval_shape` of its initialization.
      roles: parameters -> the role of each.
      matrix_axes: parameters -> which axes of each are fan-out and fan-in.

    Returns:
      The transformation.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> import optax
      >>> narrow = {"Dense_0": {"kernel": jax.ShapeDtypeStruct((64, 64), jnp.float32)}}
      >>> optimizer = mup_adam(optax.adam(1e-3), base_params=narrow)
      >>> params = {"Dense_0": {"kernel": jnp.ones((256, 256))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yang and Littwin, "Tensor Programs IVb: Adaptive Optimization in the Infinite-Width Limit",
      2023, arXiv:2308.01814; microsoft/mup.

    Deviations: the optimizer's part alone. Initial weights, of standard deviation 1 / sqrt(fan_in)
    and 1 / fan_in in heads, and attention's 1 / size are the network's; microsoft/mup has a
    multiplier of outputs instead of the head's rate. eps, which muP divides by fan_in, is the inner
    optimizer's, and decay inside of it is divided by r too.
    """
    return scale_updates(
        inner, width_factors(_EXPONENTS, width_ratio, base_params, roles, matrix_axes)
    )


ROWS = (
    Baseline(
        id="mup_adam",
        name="muP for Adam",
        factory=mup_adam,
        kind="wrapper",
        group="scaling_rule",
        title="Tensor Programs IVb: Adaptive Optimization in the Infinite-Width Limit",
        authors="Yang, Littwin",
        year=2023,
        arxiv="2308.01814",
        needs=("roles", "matrix_axes"),
        test={"width_ratio": 2.0},
        test_rate=0.03,
        tuning=tuned(0.3),
        deviations=(
            "The optimizer's part alone. Initial weights, of standard deviation 1 / sqrt(fan_in) "
            "and 1 / fan_in in heads, and attention's 1 / size are the network's; microsoft/mup "
            "has a multiplier of outputs instead of the head's rate. eps, which muP divides by "
            "fan_in, is the inner optimizer's, and decay inside of it is divided by r too."
        ),
        checked=("equations",),
    ),
)
