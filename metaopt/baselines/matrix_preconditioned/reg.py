"""REG, which balances the rows and columns of the momentum instead of its singular values."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import match_rms
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.momentum import averaged_gradient

DEVIATIONS = (
    "Neither the authors' code nor the paper's algorithm box was available: that the RACS operator "
    "divides by the square roots of the rows' and the columns' norms, both those of the momentum, "
    "and that steps have AdamW's root mean square 0.2, are taken from summaries."
)


def row_and_column_scaling(u: jax.Array, eps: float = 1e-8) -> jax.Array:
    """The operator RACS: u_ij / sqrt(||u_i.|| ||u_.j||), with Euclidean norms.

    Args:
      u: (m, n).
      eps: the least norm that is divided by, so that zeros stay zeros.
    """
    rows = jnp.linalg.norm(u, axis=1, keepdims=True)
    columns = jnp.linalg.norm(u, axis=0, keepdims=True)
    return u / jnp.sqrt(jnp.maximum(rows, eps) * jnp.maximum(columns, eps))


def reg(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """REG: momentum whose rows and columns are balanced, a milder cure than Muon's.

    Of a weight W of shape (m, n), with D_r and D_c the diagonal matrices of the norms of M's rows
    and columns:

        M <- b M + (1 - b) G
        X = D_r^{-1/2} M D_c^{-1/2}
        W <- W - lr (0.2 sqrt(m n) X / ||X||_F + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; AdamW's serves.
      momentum: b.
      eps: the least norm that is divided by.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = reg(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liu et al., "REG: A Regularization Optimizer for Robust Training Dynamics", 2025,
      arXiv:2510.03691.

    Deviations:
      Neither the authors' code nor the paper's algorithm box was available: that the RACS operator
      divides by the square roots of the rows' and the columns' norms, both those of the momentum,
      and that steps have AdamW's root mean square 0.2, are taken from summaries.
    """
    balanced = partial(row_and_column_scaling, eps=eps)
    direction = optax.chain(
        averaged_gradient(momentum),
        optax.stateless(lambda updates, _: jax.tree.map(balanced, updates)),
        match_rms(),
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
        id="reg",
        name="REG",
        factory=reg,
        group="matrix_preconditioned",
        title="REG: A Regularization Optimizer for Robust Training Dynamics",
        authors="Liu et al.",
        year=2025,
        arxiv="2510.03691",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.05,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=DEVIATIONS,
        checked=("equations",),
    ),
)
