"""Gaussian noise on gradients, which fades."""

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned


def gradient_noise(
    inner: optax.GradientTransformation,
    eta: float = 0.01,
    gamma: float = 0.55,
    *,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Annealed gradient noise: an optimizer on gradients with noise.

    With t = 0, 1, ...:

        g <- g + N(0, eta / (1 + t)^gamma)
        w <- inner's step for g

    Args:
      inner: the optimizer of the noisy gradients.
      eta: the first noise's variance; the paper tries 0.01, 0.3 and 1.
      gamma: how fast it fades.
      seed: of the noise.

    Returns:
      The transformation, `optax.add_noise` before the inner one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = gradient_noise(optax.sgd(0.1), eta=0.3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015,
      arXiv:1511.06807.
    """
    return optax.chain(
        optax.add_noise(eta, gamma, key=jax.random.key(seed)),
        optax.with_extra_args_support(inner),
    )


ROWS = (
    Baseline(
        id="gradient_noise",
        name="Annealed gradient noise",
        factory=gradient_noise,
        kind="wrapper",
        group="first_order",
        title="Adding Gradient Noise Improves Learning for Very Deep Networks",
        authors="Neelakantan et al.",
        year=2015,
        arxiv="1511.06807",
        needs=("seed",),
        tuning=tuned(0.3, eta=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
