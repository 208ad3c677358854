"""AdaGrad with D-Adaptation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.sums import inner, l1_norm, scalar_dtype
from metaopt.baselines.step_size_free.dadaptation import add_scaled, ratio, require_positive, scaled


class DAdaptAdaGradState(NamedTuple):
    """State of `dadapt_adagrad`.

    Attributes:
      count: int32 (), steps taken.
      d: (), estimate of D.
      squares: (), sum of |lam g|^2 in the norm of its step.
      a: sum of squares, from 1e-6; like s and x0, a tree like the parameters.
      s: weighted sum of gradients.
      x0: the first parameters.
    """

    count: Any
    d: Any
    squares: Any
    a: optax.Updates
    s: optax.Updates
    x0: optax.Params


def dadapt_adagrad(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    momentum: float = 0.0,
    eps: float = 1e-6,
    *,
    d0: float = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad with D-Adaptation, as dual averaging with momentum.

    With lam = lr d, and |x|_A^2 the sum of x^2 / (sqrt(a) + eps):

        a <- a + g^2
        q <- q + lam^2 |g|_A^2
        s <- s + lam g
        d <- max(d, (|s|_A^2 - q) / |s|_1)
        w <- momentum w + (1 - momentum) (w_0 - s / (sqrt(a) + eps))

    Args:
      learning_rate: a number, a scalar array or a schedule; 1, or a schedule that starts there.
      momentum: how much of the parameters stays.
      eps: added to denominators.
      d0: the first d, less than D.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: d0 is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dadapt_adagrad()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Defazio, Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023, arXiv:2301.07733;
      facebookresearch/dadaptation.
    """
    require_positive(d0, "dadapt_adagrad")

    def init(params: optax.Params) -> DAdaptAdaGradState:
        dtype = scalar_dtype(params)
        return DAdaptAdaGradState(
            jnp.zeros((), jnp.int32),
            jnp.asarray(d0, dtype),
            jnp.zeros((), dtype),
            optax.tree.full_like(params, 1e-6),
            optax.tree.zeros_like(params),
            jax.tree.map(jnp.copy, params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, DAdaptAdaGradState]:
        del extra_args
        params = require_params(params, "dadapt_adagrad")
        lam = (rate_at(learning_rate, state.count) * state.d).astype(state.d.dtype)
        a = jax.tree.map(lambda a, g: a + g**2, state.a, updates)
        squares = state.squares + lam**2 * inner(updates, scaled(updates, a, eps))
        s = add_scaled(state.s, lam, updates)
        z = scaled(s, a, eps)
        d = jnp.maximum(state.d, ratio(inner(s, z) - squares, l1_norm(s)))

        def step(w: jax.Array, w0: jax.Array, z: jax.Array) -> jax.Array:
            return ((1 - momentum) * (w0 - z - w)).astype(w.dtype)

        count = optax.safe_increment(state.count)
        return (
            jax.tree.map(step, params, state.x0, z),
            DAdaptAdaGradState(count, d, squares, a, s, state.x0),
        )

    return optax.GradientTransformationExtraArgs(init, update)


ROWS = (
    Baseline(
        id="dadapt_adagrad",
        name="D-Adapted AdaGrad",
        factory=dadapt_adagrad,
        group="step_size_free",
        title="Learning-Rate-Free Learning by D-Adaptation",
        authors="Defazio, Mishchenko",
        year=2023,
        arxiv="2301.07733",
        needs=("params",),
        test={"d0": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0),
        checked=("dadaptation 3.2", "pytorch_optimizer 4.1.0"),
    ),
)
