"""Conda, which runs Adam in the basis of its momentum's singular vectors."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.orthogonalization import widened
from metaopt.baselines.shared.periods import every, require_period
from metaopt.baselines.shared.trees import unzipped, zeros_like


class CondaState(NamedTuple):
    """State of `scale_by_conda`, over a tuple of matrices.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, (m, n).
      v: moving average of squares in the basis, (m, n).
      bases: U, singular vectors of m in columns, of the shorter side: (min(m, n), min(m, n)).
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    bases: optax.Updates


def scale_by_conda(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, period: int = 2000
) -> optax.GradientTransformation:
    """The direction of `conda`, whose arguments these are, of a tuple of matrices."""
    require_period(period, "conda")

    def init(params: optax.Params) -> CondaState:
        bases = jax.tree.map(lambda w: jnp.eye(min(w.shape), dtype=w.dtype), params)
        m, v = zeros_like(params, 2)
        return CondaState(jnp.zeros((), jnp.int32), m, v, bases)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, CondaState]:
        del params
        count = optax.safe_increment(state.count)
        correction = debiasing(b1, b2, count)

        def step(g: jax.Array, m: jax.Array, v: jax.Array, u: jax.Array) -> tuple[jax.Array, ...]:
            m = b1 * m + (1 - b1) * g
            u = every(period, state.count, lambda: _singular_vectors(m), u)
            v = b2 * v + (1 - b2) * _to_basis(u, g) ** 2
            direction = correction * _from_basis(u, _to_basis(u, m) / (jnp.sqrt(v) + eps))
            return direction.astype(g.dtype), m, v, u

        stepped = jax.tree.map(step, updates, *state[1:])
        directions, *rest = unzipped(updates, stepped, 4)
        return directions, CondaState(count, *rest)

    return optax.GradientTransformation(init, update)


def conda(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    period: int = 2000,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Conda: Adam on gradients that are rotated to the singular vectors of their average.

    Of a weight W of no more rows than columns, with hats for Adam's debiasing:

        M <- b1 M + (1 - b1) G
        U, _, _ <- svd(M)        every period steps
        V <- b2 V + (1 - b2) (U^T G)^2
        W <- W - lr (scale U (U^T M)_hat / (sqrt(V_hat) + eps) + weight_decay W)

    and with right singular vectors on the right where it has more rows.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, of matrices and of the default fallback.
      scale: of the step; the authors train GPT-2 with 0.25.
      period: steps from one decomposition to the next, the first step's among them.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the period is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = conda(1e-3)
      >>> params = {"kernel": jnp.eye(2, 3), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wang et al., "Conda: Column-Normalized Adam for Training Large Language Models Faster", 2025,
      arXiv:2509.24218; jie040109/Conda.

    Deviations: weight decay acts on the weights before the step; the authors' code decays those
      after it.
    """
    return matrix_optimizer(
        learning_rate,
        optax.chain(scale_by_conda(b1, b2, eps, period=period), optax.scale(scale)),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


def _singular_vectors(m: jax.Array) -> jax.Array:
    """Those of the shorter side, in columns."""
    wide = widened(m if m.shape[0] <= m.shape[1] else m.T)
    return jnp.linalg.svd(wide, full_matrices=False)[0].astype(m.dtype)


def _to_basis(u: jax.Array, x: jax.Array) -> jax.Array:
    return u.T @ x if x.shape[0] <= x.shape[1] else x @ u


def _from_basis(u: jax.Array, x: jax.Array) -> jax.Array:
    return u @ x if x.shape[0] <= x.shape[1] else x @ u.T


ROWS = (
    Baseline(
        id="conda",
        name="Conda",
        factory=conda,
        group="matrix_preconditioned",
        title="Conda: Column-Normalized Adam for Training Large Language Models Faster",
        authors="Wang et al.",
        year=2025,
        arxiv="2509.24218",
        needs=("params", "matrix_axes"),
        test={"period": 2},
        test_rate=0.1,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "Weight decay acts on the weights before the step; the authors' code decays those "
            "after it."
        ),
        checked=("equations",),
    ),
)
