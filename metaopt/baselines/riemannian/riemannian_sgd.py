"""Stochastic gradient descent on manifolds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.manifolds import (
    Manifold,
    ManifoldsOf,
    all_euclidean,
    rows_on_spheres,
)
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at


class RiemannianSGDState(NamedTuple):
    """State of `riemannian_sgd`.

    Attributes:
      count: int32 (), steps taken.
    """

    count: Any


def riemannian_sgd(
    learning_rate: optax.ScalarOrSchedule, *, manifold: ManifoldsOf = all_euclidean
) -> optax.GradientTransformationExtraArgs:
    """Riemannian SGD: steps along geodesics, or along retractions of them.

    With grad the Riemannian gradient and Exp the exponential map of w's manifold:

        w <- Exp_w(-lr grad)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      manifold: parameters -> a tree with the manifold of each (see `shared.manifolds`). Parameters
        that are not on theirs are put there by the first step.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from metaopt.baselines.shared.manifolds import rows_on_spheres
      >>> optimizer = riemannian_sgd(0.1, manifold=rows_on_spheres)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> gradients = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(gradients, state, params)

    Reference:
      Bonnabel, "Stochastic Gradient Descent on Riemannian Manifolds", 2011, arXiv:1111.5280.
    """

    def init(params: optax.Params) -> RiemannianSGDState:
        del params
        return RiemannianSGDState(jnp.zeros((), jnp.int32))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, RiemannianSGDState]:
        del extra_args
        params = require_params(params, "riemannian_sgd")
        rate = rate_at(learning_rate, state.count)

        def step(w: jax.Array, g: jax.Array, on: Manifold) -> jax.Array:
            x = on.project(w)
            return (on.move(x, -rate * on.gradient(x, g)) - w).astype(w.dtype)

        return (
            jax.tree.map(step, params, updates, manifold(params)),
            RiemannianSGDState(optax.safe_increment(state.count)),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="riemannian_sgd",
        name="Riemannian SGD",
        factory=riemannian_sgd,
        group="riemannian",
        title="Stochastic Gradient Descent on Riemannian Manifolds",
        authors="Bonnabel",
        year=2011,
        arxiv="1111.5280",
        needs=("params", "manifold"),
        test={"manifold": rows_on_spheres},
        test_rate=0.1,
        tuning=tuned(10.0),
        checked=("geoopt 0.5.1",),
    ),
)
