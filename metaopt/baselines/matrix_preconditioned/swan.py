"""SWAN, stateless: the gradient normalized and whitened."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.multinorm import scale_by_multinorm
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer

DEVIATIONS = (
    "The authors' code was not available: the number of Newton-Schulz iterations, ten of step 1/2, "
    "is taken as other implementations have it."
)


def swan(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """SWAN: SGD with a gradient of standardized rows, made orthogonal; no state for matrices.

    Of a weight W of shape (m, n), with mean_i and std_i over the entries of a row:

        X_ij = (G_ij - mean_i) / std_i
        Y = (X X^T)^{-1/2} X
        W <- W - lr (||X||_F Y / ||Y||_F + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; steps have root mean square lr.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = swan(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ma et al., "SWAN: SGD with Normalization and Whitening Enables Stateless LLM Training", 2024,
      arXiv:2412.13148.

    Deviations:
      The authors' code was not available: the number of Newton-Schulz iterations, ten of step 1/2,
      is taken as other implementations have it.
    """
    return matrix_optimizer(
        learning_rate,
        scale_by_multinorm(("standard_row", "spectral"), 1),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


ROWS = (
    Baseline(
        id="swan",
        name="SWAN",
        factory=swan,
        group="matrix_preconditioned",
        title="SWAN: SGD with Normalization and Whitening Enables Stateless LLM Training",
        authors="Ma et al.",
        year=2024,
        arxiv="2412.13148",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.02,
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 0,
        deviations=DEVIATIONS,
        checked=("equations",),
    ),
)
