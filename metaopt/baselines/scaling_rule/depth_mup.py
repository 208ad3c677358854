"""Depth-muP: learning rates that stay right when a residual network is made deeper."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.factors import role_factors, scale_updates
from metaopt.baselines.shared.roles import MATRICES, RolesOf, flax_roles


def depth_mup(
    inner: optax.GradientTransformation,
    *,
    depth_ratio: float = 1.0,
    roles: RolesOf = flax_roles,
) -> optax.GradientTransformationExtraArgs:
    """Depth-muP around Adam or its like: updates in blocks shrink with the root of the depth.

    With u the update of the inner optimizer, and L the number of residual blocks:

        w <- w + u / sqrt(L / L of the shallow network)    matrices of blocks
        w <- w + u                                         embeddings, heads and vectors

    Args:
      inner: an optimizer whose steps do not depend on the gradient's scale; not SGD, whose rate
        stays as it is. Its learning rate is the shallow network's.
      depth_ratio: how many times as many blocks the network has as the shallow one.
      roles: parameters -> the role of each.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = depth_mup(optax.adam(1e-3), depth_ratio=4)
      >>> params = {"Dense_0": {"kernel": jnp.ones((2, 3))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yang et al., "Tensor Programs VI: Feature Learning in Infinite-Depth Neural Networks", 2023,
      arXiv:2310.02244.

    Deviations: the optimizer's part alone. The factor 1 / sqrt(L) of each block's output is the
    network's, and muP's scaling by width is `mup_adam`, to be put around it.
    """
    factor: float = depth_ratio**-0.5
    return scale_updates(inner, role_factors(dict.fromkeys(MATRICES, factor), roles))


ROWS = (
    Baseline(
        id="depth_mup",
        name="Depth-muP",
        factory=depth_mup,
        kind="wrapper",
        group="scaling_rule",
        title="Tensor Programs VI: Feature Learning in Infinite-Depth Neural Networks",
        authors="Yang et al.",
        year=2023,
        arxiv="2310.02244",
        needs=("roles",),
        test={"depth_ratio": 4.0},
        test_rate=0.03,
        tuning=tuned(0.3),
        deviations=(
            "The optimizer's part alone. The factor 1 / sqrt(L) of each block's output is the "
            "network's, and muP's scaling by width is mup_adam, to be put around it."
        ),
        checked=("equations",),
    ),
)
