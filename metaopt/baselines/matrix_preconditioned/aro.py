"""ARO, which normalizes a gradient in coordinates that are rotated to suit the normalization."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.momentum import averaged_gradient
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.orthogonalization import orthonormal_basis
from metaopt.baselines.shared.trees import unzipped

Base = Literal["sinkhorn", "rows", "sign"]


class RotationState(NamedTuple):
    """State of `scale_by_rotation`, over a tuple of matrices.

    Attributes:
      rotations: R, of the shorter side: (min(m, n), min(m, n)).
    """

    rotations: optax.Updates


def scale_by_rotation(base: Base = "sinkhorn") -> optax.GradientTransformation:
    """R f(R^T M) of a tuple of matrices M, with f and R as in `aro`."""
    if base not in _BASES:
        raise ValueError(f"aro: base must be one of {', '.join(_BASES)}, not {base!r}")
    f = _BASES[base]

    def init(params: optax.Params) -> RotationState:
        return RotationState(jax.tree.map(lambda w: jnp.eye(min(w.shape), dtype=w.dtype), params))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RotationState]:
        del params

        def step(m: jax.Array, r: jax.Array) -> tuple[jax.Array, jax.Array]:
            tall = m.shape[0] > m.shape[1]
            m = m.T if tall else m
            r = orthonormal_basis(m @ f(r.T @ m).T)
            direction = r @ f(r.T @ m)
            return direction.T if tall else direction, r

        directions, rotations = unzipped(updates, jax.tree.map(step, updates, state.rotations), 2)
        return directions, RotationState(rotations)

    return optax.GradientTransformation(init, update)


def aro(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    *,
    weight_decay: float = 0.0,
    base: Base = "sinkhorn",
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """ARO: adaptively rotated optimization.

    Of a weight W of no more rows than columns, with R the identity at first:

        M <- b1 M + (1 - b1) G
        R <- qr(M f(R^T M)^T)
        W <- W - lr (R f(R^T M) + weight_decay W)

    where f is the map of a method without matrices in it, of root mean square 1:

        sinkhorn    five times, rows and then columns scaled to root mean square 1
        rows        rows scaled to root mean square 1
        sign        the sign of each entry

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      weight_decay: decoupled, of matrices and of the default fallback.
      base: which f.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: there is no such base.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = aro(1e-2)
      >>> params = {"kernel": jnp.eye(2, 3), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Gong et al., "ARO: A New Lens On Matrix Optimization For Large Models", 2026,
      arXiv:2602.09006; microsoft/dion.

    Deviations: the shorter side is rotated, by transposing matrices of more rows than columns; on
      the longer one, as in microsoft/dion, f would enlarge rows of R^T M that are but rounding
      errors. Its factor of the learning rate for each shape is left out: f fixes the size of steps.
      R is of Householder's QR, not of a shifted Cholesky one; Adam as base, with a state of its
      own, is not offered.
    """
    return matrix_optimizer(
        learning_rate,
        optax.chain(averaged_gradient(b1), scale_by_rotation(base)),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


def _rows(x: jax.Array) -> jax.Array:
    return to_norm(x, x.shape[1] ** 0.5, axis=1, eps=1e-8)


def _sinkhorn(x: jax.Array) -> jax.Array:
    for _ in range(5):
        x = to_norm(_rows(x), x.shape[0] ** 0.5, axis=0, eps=1e-8)
    return x


_BASES: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {"sinkhorn": _sinkhorn, "rows": _rows, "sign": jnp.sign}
)

ROWS = (
    Baseline(
        id="aro",
        name="ARO",
        factory=aro,
        group="matrix_preconditioned",
        title="ARO: A New Lens On Matrix Optimization For Large Models",
        authors="Gong et al.",
        year=2026,
        arxiv="2602.09006",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.1,
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        deviations=(
            "The shorter side is rotated, by transposing matrices of more rows than columns; on "
            "the longer one, as in microsoft/dion, f would enlarge rows of R^T M that are but "
            "rounding errors. Its factor of the learning rate for each shape is left out: f fixes "
            "the size of steps. R is of Householder's QR, not of a shifted Cholesky one; Adam as "
            "base, with a state of its own, is not offered."
        ),
        checked=("equations",),
    ),
)
