"""ROOT, which cuts outliers off the momentum before it makes it orthogonal."""

from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import Adjust, require_adjust, shape_factor
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.newton_schulz import QUINTIC, Coefficients, newton_schulz
from metaopt.baselines.shared.orthogonalization import widened

RELEASED: Mapping[tuple[int, int], Coefficients] = MappingProxyType(
    {
        (2048, 2048): (3.4916, -4.8224, 2.1095),
        (2048, 3072): (3.4509, -4.5790, 1.9325),
        (2048, 8192): (2.9794, -3.6674, 1.6207),
        (2048, 16384): (3.1943, -3.8221, 1.5322),
    }
)
"""Coefficients that the authors fitted to matrices of a shape: (shorter side, longer side)."""


def without_outliers(u: jax.Array, quantile: float) -> jax.Array:
    """Entries cut at a quantile of their absolute values: what soft-thresholding leaves behind.

    Args:
      u: array.
      quantile: the part of the entries that stays as it is.
    """
    threshold = jnp.quantile(jnp.abs(widened(u)), quantile) + 1e-9
    return jnp.clip(u, -threshold, threshold).astype(u.dtype)


def root(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    nesterov: bool = True,
    quantile: float = 0.9,
    coefficients: Mapping[tuple[int, int], Coefficients] = RELEASED,
    steps: int = 5,
    eps: float = 1e-7,
    adjust: Adjust = "match_rms_adamw",
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """ROOT: Muon robust to outliers and to the shapes of matrices.

    Of a weight W of shape (m, n), with t the 0.9-quantile of |U| and a, b, c of that shape:

        M <- mu M + G
        U = G + mu M
        B = U - sign(U) max(|U| - t, 0)
        X = B / (||B||_F + eps)
        X <- a X + b (X X^T) X + c (X X^T)^2 X        5 times
        W <- W - lr (0.2 sqrt(max(m, n)) X + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; AdamW's serves.
      momentum: mu.
      nesterov: as the second line says; else U = M.
      quantile: the part of the entries that are no outliers.
      coefficients: (shorter side, longer side) of a matrix -> a, b, c; Muon's for other shapes.
      steps: of the iteration.
      eps: added to the norm.
      adjust: the factor that depends on the shape; see `muon`.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the quantile is not within 0 and 1, or `adjust` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = root(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      He et al., "ROOT: Robust Orthogonalized Optimizer for Neural Network Training", 2025,
      arXiv:2511.20626; huawei-noah/noah-research.

    Deviations:
      The paper fits a, b and c to every shape. Four such fits are published; as in the authors'
      code, all other shapes have Muon's.
    """
    if isinstance(quantile, int | float) and not 0 <= quantile <= 1:
        raise ValueError(f"quantile is {quantile}: the part of the entries kept is within 0 and 1")
    require_adjust(adjust)

    def orthogonal(u: jax.Array) -> jax.Array:
        shorter, longer = sorted(u.shape)
        fitted = coefficients.get((shorter, longer), QUINTIC)
        base = without_outliers(u, quantile)
        x = newton_schulz(base, coefficients=fitted, steps=steps, eps=eps)
        return shape_factor(u.shape, adjust) * x

    return matrix_optimizer(
        learning_rate,
        optax.chain(
            optax.trace(momentum, nesterov),
            optax.stateless(lambda updates, _: jax.tree.map(orthogonal, updates)),
        ),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


ROWS = (
    Baseline(
        id="root",
        name="ROOT",
        factory=root,
        group="matrix_preconditioned",
        title="ROOT: Robust Orthogonalized Optimizer for Neural Network Training",
        authors="He et al.",
        year=2025,
        arxiv="2511.20626",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.05,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations="The paper fits a, b and c to every shape. Four such fits are published; as in "
        "the authors' code, all other shapes have Muon's.",
        checked=("equations",),
    ),
)
