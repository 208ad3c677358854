"""INNAprop: INNA with RMSprop's scaling of gradients."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.first_order.inna import inna


def innaprop(
    learning_rate: optax.ScalarOrSchedule,
    alpha: float = 0.1,
    beta: float = 0.9,
    sigma: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
) -> optax.GradientTransformationExtraArgs:
    """INNAprop: the inertial Newton method on gradients that are scaled by their own size.

    From psi = (1 - alpha beta) w, with v_hat = v / (1 - sigma^t):

        v <- sigma v + (1 - sigma) g^2
        w <- (1 - lr weight_decay) w
        d = (1/beta - alpha) w - psi/beta
        psi <- psi + lr d
        w <- w + lr (d - beta g / (sqrt(v_hat) + eps))

    The paper writes the same step of w with the new psi, over beta - lr; written with the old one,
    as INNA's is, it is not singular at lr = beta.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      alpha: viscous damping.
      beta: Newtonian damping, above zero.
      sigma: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: beta is not above zero.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = innaprop(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Bolte et al., "A second-order-like optimizer with adaptive gradient scaling for deep
      learning", 2024, arXiv:2410.05871; innaprop/innaprop.
    """
    return optax.chain(
        optax.scale_by_rms(sigma, eps, eps_in_sqrt=False, bias_correction=True),
        inna(learning_rate, alpha, beta, weight_decay=weight_decay),
    )


ROWS = (
    Baseline(
        id="innaprop",
        name="INNAprop",
        factory=innaprop,
        group="first_order",
        title="A second-order-like optimizer with adaptive gradient scaling for deep learning",
        authors="Bolte et al.",
        year=2024,
        arxiv="2410.05871",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
