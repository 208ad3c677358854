"""Clipping that Optax has, as wrappers."""

import optax

from metaopt.baselines.baseline import Baseline, tuned


def clip_by_global_norm(
    inner: optax.GradientTransformation, max_norm: float = 1.0
) -> optax.GradientTransformationExtraArgs:
    """Global-norm clipping: an optimizer on gradients that are no longer than a threshold.

    With |g| over all parameters together:

        g <- g min(1, max_norm / |g|)
        w <- inner's step for g

    Args:
      inner: the optimizer of the clipped gradients.
      max_norm: the threshold.

    Returns:
      The transformation, `optax.clip_by_global_norm` before the inner one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = clip_by_global_norm(optax.sgd(0.1))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Pascanu, Mikolov, Bengio, "On the difficulty of training Recurrent Neural Networks", 2012,
      arXiv:1211.5063.
    """
    return optax.chain(optax.clip_by_global_norm(max_norm), optax.with_extra_args_support(inner))


ROWS = (
    Baseline(
        id="clip_by_global_norm",
        name="Global-norm clipping",
        factory=clip_by_global_norm,
        kind="wrapper",
        group="clipping",
        title="On the difficulty of training Recurrent Neural Networks",
        authors="Pascanu, Mikolov, Bengio",
        year=2012,
        arxiv="1211.5063",
        tuning=tuned(0.3, max_norm=(0.01, 10.0)),
        checked=("torch 2.13.0",),
    ),
)
