"""Clipping of the gradient's largest coordinates."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import scalar_dtype


def clip_largest(fraction: float) -> optax.GradientTransformation:
    """Clip the given fraction of a tree's coordinates, the largest, to the size of the next one."""

    def clip(updates: optax.Updates, params: Any) -> optax.Updates:
        del params
        sizes = [jnp.abs(g).ravel() for g in jax.tree.leaves(updates)]
        if not sum(size.size for size in sizes):
            return updates
        sizes = jnp.concatenate(sizes)
        threshold = jnp.quantile(sizes.astype(scalar_dtype(sizes)), 1 - fraction)
        return jax.tree.map(lambda g: jnp.clip(g, -threshold, threshold).astype(g.dtype), updates)

    return optax.stateless(clip)


def coordinate_clip(
    inner: optax.GradientTransformation, fraction: float = 0.1
) -> optax.GradientTransformationExtraArgs:
    """Coordinate-wise clipping: an optimizer on gradients without their few large coordinates.

    With q the quantile over all parameters together:

        c = q_(1 - fraction) of |g|
        g <- clip(g, -c, c)
        w <- inner's step for g

    Args:
      inner: the optimizer of the clipped gradients.
      fraction: share of coordinates that are clipped, in [0, 1].

    Returns:
      The transformation.

    Raises:
      ValueError: the fraction is not in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = coordinate_clip(optax.sgd(0.1))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Pan, Li, "Toward Understanding Why Adam Converges Faster Than SGD for Transformers", 2023,
      arXiv:2306.00204.

    Deviations:
      The authors' code was not available: that one threshold serves all arrays, and that gradients
      are clipped rather than the optimizer's steps, is taken from the publication's equations for
      one vector of parameters.
    """
    if isinstance(fraction, int | float) and not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}, a share of coordinates: choose one in [0, 1]")
    return optax.chain(clip_largest(fraction), optax.with_extra_args_support(inner))


ROWS = (
    Baseline(
        id="coordinate_clip",
        name="Coordinate-wise clipping",
        factory=coordinate_clip,
        kind="wrapper",
        group="clipping",
        title="Toward Understanding Why Adam Converges Faster Than SGD for Transformers",
        authors="Pan, Li",
        year=2023,
        arxiv="2306.00204",
        tuning=tuned(0.3, fraction=(0.01, 0.9)),
        deviations="The authors' code was not available: that one threshold serves all arrays, and "
        "that gradients are clipped rather than the optimizer's steps, is taken from the "
        "publication's equations for one vector of parameters.",
        checked=("equations",),
    ),
)
