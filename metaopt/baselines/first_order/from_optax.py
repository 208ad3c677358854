"""Stochastic gradient descent and its momenta, which Optax has."""

import optax
from optax import sgd as sgd

from metaopt.baselines.baseline import Baseline, tuned


def momentum_sgd(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """SGD with the momentum of a heavy ball.

        m <- momentum m + g
        w <- w - lr m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the sum of gradients.

    Returns:
      The transformation, `optax.sgd`.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = momentum_sgd(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, _ = optimizer.update(params, optimizer.init(params))

    Reference:
      Polyak, "Some methods of speeding up the convergence of iteration methods", 1964,
      doi:10.1016/0041-5553(64)90137-5.

    Deviations:
      The learning rate multiplies the momentum, as libraries have it; Polyak's multiplies each
      gradient. They are the same as long as it is constant.
    """
    return optax.sgd(learning_rate, momentum)


def nesterov_sgd(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9
) -> optax.GradientTransformationExtraArgs:
    """SGD with Nesterov's momentum.

        m <- momentum m + g
        w <- w - lr (g + momentum m)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the sum of gradients.

    Returns:
      The transformation, `optax.sgd`.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = nesterov_sgd(0.1)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, _ = optimizer.update(params, optimizer.init(params))

    Reference:
      Nesterov, "A method for solving the convex programming problem with convergence rate
      O(1/k^2)", 1983; as in Sutskever et al., "On the importance of initialization and momentum in
      deep learning", 2013.

    Deviations:
      The momentum is constant, and the parameters are those of the extrapolated point, where the
      gradient is taken.
    """
    return optax.sgd(learning_rate, momentum, nesterov=True)


ROWS = (
    Baseline(
        id="sgd",
        name="SGD",
        factory=sgd,
        group="first_order",
        title="A Stochastic Approximation Method",
        authors="Robbins, Monro",
        year=1951,
        link="doi.org/10.1214/aoms/1177729586",
        test_rate=0.05,
        tuning=tuned(10.0),
        equations="w <- w - lr g",
        checked=("torch 2.13.0",),
    ),
    Baseline(
        id="momentum_sgd",
        name="SGD with momentum",
        factory=momentum_sgd,
        group="first_order",
        title="Some methods of speeding up the convergence of iteration methods",
        authors="Polyak",
        year=1964,
        link="doi.org/10.1016/0041-5553(64)90137-5",
        tuning=tuned(3.0),
        deviations="The learning rate multiplies the momentum, as libraries have it; Polyak's "
        "multiplies each gradient. They are the same as long as it is constant.",
        checked=("equations",),
    ),
    Baseline(
        id="nesterov_sgd",
        name="SGD with Nesterov momentum",
        factory=nesterov_sgd,
        group="first_order",
        title="A method for solving the convex programming problem with convergence rate O(1/k^2)",
        authors="Nesterov",
        year=1983,
        link="www.mathnet.ru/eng/dan46009",
        tuning=tuned(3.0),
        deviations="The momentum is constant, and the parameters are those of the extrapolated "
        "point, where the gradient is taken.",
        checked=("torch 2.13.0",),
    ),
)
