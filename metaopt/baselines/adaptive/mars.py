"""MARS, which reduces the variance of gradients before AdamW, Lion or Shampoo sees them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.newton_schulz import newton_schulz

_PAPER: dict[str, Any] = {
    "title": "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
    "authors": "Yuan et al.",
    "year": 2024,
    "arxiv": "2411.10438",
}


class ReduceVarianceState(NamedTuple):
    """State of `reduce_variance`.

    Attributes:
      previous: the last gradient, a tree like the parameters.
    """

    previous: optax.Updates


def reduce_variance(
    b1: float = 0.95, gamma: float = 0.025
) -> optax.GradientTransformationExtraArgs:
    """Correct gradients by their change, and clip each array to norm one.

        c = g + gamma b1 / (1 - b1) (g - g_previous)
        c <- c / max(1, ||c||)

    This is the approximate form, whose previous gradient is that of the previous batch; before the
    first step it is zero, as in the authors' code.

    Args:
      b1: decay of the momentum that the result goes into.
      gamma: weight of the correction.
    """

    def init(params: optax.Params) -> ReduceVarianceState:
        return ReduceVarianceState(optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ReduceVarianceState]:
        del params, extra_args
        weight = gamma * b1 / (1 - b1)

        def corrected(g: jax.Array, previous: jax.Array) -> jax.Array:
            c = g + weight * (g - previous)
            return (c / jnp.maximum(1, jnp.linalg.norm(c.ravel()))).astype(g.dtype)

        reduced = jax.tree.map(corrected, updates, state.previous)
        return reduced, ReduceVarianceState(optax.tree.cast_like(updates, state.previous))

    return optax.GradientTransformationExtraArgs(init, update)


def mars_adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    gamma: float = 0.025,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """MARS-AdamW: AdamW on gradients of reduced variance.

    With hats for division by 1 - b^t:

        c = g + gamma b1 / (1 - b1) (g - g_previous)
        c <- c / max(1, ||c||) for each array
        m <- b1 m + (1 - b1) c
        v <- b2 v + (1 - b2) c^2
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of c.
      b2: decay of the average of its square.
      eps: added to the denominator.
      gamma: weight of the correction.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters. Vectors are treated as matrices are,
      which the authors' code calls `optimize_1d`.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = mars_adamw(3e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yuan et al., "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
      2024, arXiv:2411.10438; AGI-Arena/MARS.
    """
    return optax.chain(
        reduce_variance(b1, gamma),
        optax.scale_by_adam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def mars_lion(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    *,
    gamma: float = 0.025,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """MARS-Lion: the sign of an average of gradients of reduced variance.

        c = g + gamma b1 / (1 - b1) (g - g_previous)
        c <- c / max(1, ||c||) for each array
        m <- b1 m + (1 - b1) c
        w <- w - lr (sign(m) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of c.
      gamma: weight of the correction.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = mars_lion(3e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yuan et al., "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
      2024, arXiv:2411.10438; AGI-Arena/MARS.
    """
    return optax.chain(
        reduce_variance(b1, gamma),
        optax.ema(b1, debias=False),
        optax.scale_by_sign(),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def mars_shampoo(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    *,
    gamma: float = 0.025,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """MARS-Shampoo: the orthogonal factor of an average of gradients of reduced variance.

    For each matrix of m rows and n columns:

        C = G + gamma b1 / (1 - b1) (G - G_previous)
        C <- C / max(1, ||C||_F)
        M <- b1 M + (1 - b1) C
        O = NewtonSchulz(M / (1 - b1)), five quintic steps
        W <- W - lr (sqrt(max(1, m / n)) O + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of C.
      gamma: weight of the correction.
      eps: added to the Frobenius norm that Newton-Schulz begins with.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of everything that is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = mars_shampoo(3e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yuan et al., "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
      2024, arXiv:2411.10438; AGI-Arena/MARS.
    """

    def orthogonal(m: jax.Array) -> jax.Array:
        rows, columns = m.shape
        return max(1, rows / columns) ** 0.5 * newton_schulz(m / (1 - b1), eps=eps)

    direction = optax.chain(
        reduce_variance(b1, gamma),
        optax.ema(b1, debias=False),
        optax.stateless(lambda m, _: jax.tree.map(orthogonal, m)),
    )
    return matrix_optimizer(
        learning_rate,
        direction,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


ROWS = (
    Baseline(
        id="mars_adamw",
        name="MARS-AdamW",
        factory=mars_adamw,
        group="adaptive",
        **_PAPER,
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31", "zij 0.1.1"),
    ),
)

SIGN_ROWS = (
    Baseline(
        id="mars_lion",
        name="MARS-Lion",
        factory=mars_lion,
        group="sign",
        **_PAPER,
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.1, weight_decay=(1e-3, 10.0)),
        checked=("equations",),
    ),
)

MATRIX_ROWS = (
    Baseline(
        id="mars_shampoo",
        name="MARS-Shampoo",
        factory=mars_shampoo,
        group="matrix_preconditioned",
        **_PAPER,
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
