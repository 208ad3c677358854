"""Weight clipping, which keeps a Wasserstein critic Lipschitz."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Change steps so that no parameter is larger than the limit after them."""

    def clip(updates: optax.Updates, params: Any) -> optax.Updates:
        params = require_params(params, "wgan_weight_clipping")
        return jax.tree.map(
            lambda u, w: (jnp.clip(w + u, -limit, limit) - w).astype(w.dtype), updates, params
        )

    return optax.stateless(clip)


def wgan_weight_clipping(
    inner: optax.GradientTransformation, limit: float = 0.01
) -> optax.GradientTransformationExtraArgs:
    """WGAN weight clipping: the critic's parameters stay in a box.

    With u the step of the inner optimizer:

        w <- clip(w + u, -limit, limit)

    Args:
      inner: the critic's optimizer; RMSprop in the paper.
      limit: the largest parameter.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = wgan_weight_clipping(optax.rmsprop(5e-5))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Arjovsky, Chintala, Bottou, "Wasserstein GAN", 2017, arXiv:1701.07875;
      martinarjovsky/WassersteinGAN.

    Deviations:
      It is the critic's optimizer alone: that the critic takes several steps for one of the
      generator is for the training loop.
    """
    return optax.chain(optax.with_extra_args_support(inner), clip_weights(limit))


def _rmsprop(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.rmsprop(learning_rate)


ROWS = (
    Baseline(
        id="wgan_weight_clipping",
        name="WGAN weight clipping",
        factory=wgan_weight_clipping,
        kind="wrapper",
        group="games",
        title="Wasserstein GAN",
        authors="Arjovsky, Chintala, Bottou",
        year=2017,
        arxiv="1701.07875",
        needs=("params",),
        test={"limit": 0.5},
        bench={"limit": 0.3},
        inner=_rmsprop,
        tuning=tuned(0.1, limit=(0.01, 10.0)),
        deviations="It is the critic's optimizer alone: that the critic takes several steps for "
        "one of the generator is for the training loop.",
        checked=("equations",),
    ),
)
