"""Adam, AMSGrad and AdaGrad on products of manifolds."""

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
from metaopt.baselines.shared.trees import unzipped


class RiemannianAdamState(NamedTuple):
    """State of `riemannian_adam` and `riemannian_amsgrad`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of Riemannian gradients, tangent where the parameters are.
      v: moving average of their squared lengths: one number for each manifold that an array is a
        product of, such as one for each row on the sphere.
      largest: what v is at its largest, of AMSGrad; of Adam None.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    largest: Any


class RiemannianAdagradState(NamedTuple):
    """State of `riemannian_adagrad`.

    Attributes:
      count: int32 (), steps taken.
      v: sum of the squared lengths of Riemannian gradients, shaped as in `RiemannianAdamState`.
    """

    count: Any
    v: optax.Updates


def riemannian_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    manifold: ManifoldsOf = all_euclidean,
) -> optax.GradientTransformationExtraArgs:
    """Riemannian Adam: a rate for each manifold of a product, and momentum that is moved along.

    With grad the Riemannian gradient, |.|_w its length, Exp the exponential map, T_w->w' the
    transport of tangent vectors, and hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) grad
        v <- b2 v + (1 - b2) |grad|_w^2
        w' <- Exp_w(-lr m_hat / (sqrt(v_hat) + eps))
        m <- T_w->w' m;  w <- w'

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squared lengths.
      eps: added to the denominator.
      manifold: parameters -> a tree with the manifold of each (see `shared.manifolds`). Parameters
        that are not on theirs are put there by the first step.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from metaopt.baselines.shared.manifolds import rows_on_spheres
      >>> optimizer = riemannian_adam(0.1, manifold=rows_on_spheres)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> gradients = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(gradients, state, params)

    Reference:
      Becigneul and Ganea, "Riemannian Adaptive Optimization Methods", 2018, arXiv:1810.00760;
      geoopt/geoopt.

    Deviations: the averages are debiased and eps is added, as in Adam and geoopt; the paper's
      algorithm has neither.
    """
    return _with_momentum(
        learning_rate, b1, b2, eps, manifold, "riemannian_adam", keeps_largest=False
    )


def riemannian_amsgrad(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    manifold: ManifoldsOf = all_euclidean,
) -> optax.GradientTransformationExtraArgs:
    """Riemannian AMSGrad: Riemannian Adam whose rates never grow.

    With grad the Riemannian gradient, |.|_w its length, Exp the exponential map, T_w->w' the
    transport of tangent vectors, and hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) grad
        v <- b2 v + (1 - b2) |grad|_w^2
        n <- max(n, v)
        w' <- Exp_w(-lr m_hat / (sqrt(n_hat) + eps))
        m <- T_w->w' m;  w <- w'

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squared lengths.
      eps: added to the denominator.
      manifold: parameters -> a tree with the manifold of each (see `shared.manifolds`). Parameters
        that are not on theirs are put there by the first step.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from metaopt.baselines.shared.manifolds import rows_on_spheres
      >>> optimizer = riemannian_amsgrad(0.1, manifold=rows_on_spheres)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> gradients = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(gradients, state, params)

    Reference:
      Becigneul and Ganea, "Riemannian Adaptive Optimization Methods", 2018, arXiv:1810.00760;
      geoopt/geoopt.

    Deviations: the averages are debiased and eps is added, as in Adam and geoopt; the paper's
      algorithm has neither.
    """
    return _with_momentum(
        learning_rate, b1, b2, eps, manifold, "riemannian_amsgrad", keeps_largest=True
    )


def _with_momentum(
    learning_rate: optax.ScalarOrSchedule,
    b1: float,
    b2: float,
    eps: float,
    manifold: ManifoldsOf,
    name: str,
    *,
    keeps_largest: bool,
) -> optax.GradientTransformationExtraArgs:
    def init(params: optax.Params) -> RiemannianAdamState:
        v, largest = (_lengths(manifold, params) for _ in range(2))
        m = optax.tree.zeros_like(params)
        kept = largest if keeps_largest else None
        return RiemannianAdamState(jnp.zeros((), jnp.int32), m, v, kept)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, RiemannianAdamState]:
        del extra_args
        params = require_params(params, name)
        count = optax.safe_increment(state.count)
        rate = rate_at(learning_rate, state.count)
        correction1, correction2 = 1 - b1**count, 1 - b2**count

        def step(
            w: jax.Array,
            g: jax.Array,
            on: Manifold,
            m: jax.Array,
            v: jax.Array,
            largest: jax.Array,
        ) -> tuple[jax.Array, ...]:
            x = on.project(w)
            gradient = on.gradient(x, g)
            m = b1 * m + (1 - b1) * gradient
            v = b2 * v + (1 - b2) * on.inner(x, gradient, gradient)
            largest = jnp.maximum(largest, v) if keeps_largest else v
            denominator = jnp.sqrt(largest / correction2) + eps
            y = on.move(x, -rate * (m / correction1) / denominator)
            moved = on.transport(x, y, m)
            return tuple(a.astype(w.dtype) for a in (y - w, moved, v, largest))

        before = state.largest if keeps_largest else state.v
        stepped = jax.tree.map(step, params, updates, manifold(params), state.m, state.v, before)
        steps, m, v, largest = unzipped(params, stepped, 4)
        return steps, RiemannianAdamState(count, m, v, largest if keeps_largest else None)

    return optax.GradientTransformationExtraArgs(init, update)


def riemannian_adagrad(
    learning_rate: optax.ScalarOrSchedule,
    eps: float = 1e-10,
    *,
    manifold: ManifoldsOf = all_euclidean,
) -> optax.GradientTransformationExtraArgs:
    """Riemannian AdaGrad: one adaptive rate for each manifold of a product.

    With grad the Riemannian gradient, |.|_w its length and Exp the exponential map:

        v <- v + |grad|_w^2
        w <- Exp_w(-lr grad / (sqrt(v) + eps))

    Args:
      learning_rate: a number, a scalar array or a schedule.
      eps: added to the denominator.
      manifold: parameters -> a tree with the manifold of each (see `shared.manifolds`). Parameters
        that are not on theirs are put there by the first step.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from metaopt.baselines.shared.manifolds import rows_on_spheres
      >>> optimizer = riemannian_adagrad(0.1, manifold=rows_on_spheres)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> gradients = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(gradients, state, params)

    Reference:
      Becigneul and Ganea, "Riemannian Adaptive Optimization Methods", 2018, arXiv:1810.00760.

    Deviations: eps is added, which the paper's algorithm does not have: a gradient of zero would
      divide zero by zero.
    """

    def init(params: optax.Params) -> RiemannianAdagradState:
        return RiemannianAdagradState(jnp.zeros((), jnp.int32), _lengths(manifold, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, RiemannianAdagradState]:
        del extra_args
        params = require_params(params, "riemannian_adagrad")
        rate = rate_at(learning_rate, state.count)

        def step(w: jax.Array, g: jax.Array, on: Manifold, v: jax.Array) -> tuple[jax.Array, ...]:
            x = on.project(w)
            gradient = on.gradient(x, g)
            v = v + on.inner(x, gradient, gradient)
            y = on.move(x, -rate * gradient / (jnp.sqrt(v) + eps))
            return (y - w).astype(w.dtype), v.astype(w.dtype)

        stepped = jax.tree.map(step, params, updates, manifold(params), state.v)
        steps, v = unzipped(params, stepped, 2)
        return steps, RiemannianAdagradState(optax.safe_increment(state.count), v)

    return optax.GradientTransformationExtraArgs(init, update)


def _lengths(manifold: ManifoldsOf, params: optax.Params) -> optax.Updates:
    """Zeros, one for each manifold that each parameter is a product of."""

    def zeros(w: jax.Array, on: Manifold) -> jax.Array:
        return jnp.zeros(jax.eval_shape(on.inner, w, w, w).shape, w.dtype)

    return jax.tree.map(zeros, params, manifold(params))


def _row(**fields: Any) -> Baseline:
    return Baseline(
        group="riemannian",
        title="Riemannian Adaptive Optimization Methods",
        authors="Becigneul, Ganea",
        year=2018,
        arxiv="1810.00760",
        needs=("params", "manifold"),
        **fields,
    )


_DEBIASED = (
    "The averages are debiased and eps is added, as in Adam and geoopt; the paper's algorithm has "
    "neither."
)

ROWS = (
    _row(
        id="riemannian_adam",
        name="Riemannian Adam",
        factory=riemannian_adam,
        test={"manifold": rows_on_spheres},
        test_rate=0.1,
        tuning=tuned(0.3),
        deviations=_DEBIASED,
        checked=("geoopt 0.5.1",),
    ),
    _row(
        id="riemannian_amsgrad",
        name="Riemannian AMSGrad",
        factory=riemannian_amsgrad,
        test={"manifold": rows_on_spheres},
        test_rate=0.1,
        tuning=tuned(0.3),
        deviations=_DEBIASED,
        checked=("geoopt 0.5.1",),
    ),
    _row(
        id="riemannian_adagrad",
        name="Riemannian AdaGrad",
        factory=riemannian_adagrad,
        test={"manifold": rows_on_spheres},
        test_rate=0.3,
        tuning=tuned(1.0),
        deviations=(
            "eps is added, which the paper's algorithm does not have: a gradient of zero would "
            "divide zero by zero."
        ),
        checked=("equations",),
    ),
)
