"""NorMuon, Muon with a second moment for every neuron."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import (
    Adjust,
    match_rms,
    orthogonalize,
    shape_factor,
)
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.momentum import averaged_gradient
from metaopt.baselines.shared.newton_schulz import QUINTIC, Coefficients
from metaopt.baselines.shared.norms import to_norm


class RowRmsState(NamedTuple):
    """State of `scale_by_row_rms`.

    Attributes:
      v: moving average of each row's mean square, (rows, 1) for a matrix (rows, columns).
    """

    v: optax.Updates


def scale_by_row_rms(decay: float, eps: float) -> optax.GradientTransformation:
    """Divides every row of a matrix by the root of its mean square's moving average.

    Args:
      decay: of the average.
      eps: added to the denominator.
    """

    def init(params: optax.Params) -> RowRmsState:
        return RowRmsState(jax.tree.map(lambda w: jnp.zeros_like(w[:, :1]), params))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RowRmsState]:
        del params
        squares = jax.tree.map(lambda u: jnp.mean(u**2, axis=1, keepdims=True), updates)
        v = optax.tree.update_moment(squares, state.v, decay, 1)
        return jax.tree.map(lambda u, v: u / (jnp.sqrt(v) + eps), updates, v), RowRmsState(v)

    return optax.GradientTransformation(init, update)


def keep_norm(
    inner: optax.GradientTransformation, adjust: Adjust = "original"
) -> optax.GradientTransformation:
    """Scales what `inner` returns to the norm it had before, times the factor of its shape."""

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Any]:
        scaled, state = inner.update(updates, state, params)

        def restored(before: jax.Array, after: jax.Array) -> jax.Array:
            return to_norm(after, shape_factor(after.shape, adjust) * jnp.linalg.norm(before))

        return jax.tree.map(restored, updates, scaled), state

    return optax.GradientTransformation(inner.init, update)


def normuon(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-10,
    *,
    nesterov: bool = True,
    coefficients: Coefficients | Sequence[Coefficients] = QUINTIC,
    steps: int = 5,
    ns_eps: float = 1e-7,
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw",
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """NorMuon: Muon whose rows are divided by the root of their second moments.

    Of a weight W of shape (m, n), with NS for Muon's Newton-Schulz iterations:

        M <- b M + (1 - b) G
        O = NS((1 - b) G + b M)
        v_i <- b2 v_i + (1 - b2) mean_j(O_ij^2)
        X_ij = O_ij / (sqrt(v_i) + eps)
        W <- W - lr (0.2 sqrt(m n) X / ||X||_F + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; AdamW's serves.
      momentum: b.
      b2: decay of the rows' second moments.
      eps: added to the denominator.
      nesterov: as the second line says; else O = NS(M).
      coefficients: of the iteration; see `muon`.
      steps: of the iteration.
      ns_eps: added to the norm that the iteration divides by.
      adjust: match_rms_adamw is the last line, as in the paper; original has the norm
        sqrt(max(1, m / n)) ||O||_F in place of 0.2 sqrt(m n), as in the authors' code.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `adjust` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = normuon(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Li et al., "NorMuon: Making Muon more efficient and scalable", 2025, arXiv:2510.05491;
      zichongli5/NorMuon.
    """
    rows = scale_by_row_rms(b2, eps)
    scalings = {
        "match_rms_adamw": optax.chain(rows, match_rms()),
        "original": keep_norm(rows),
    }
    if adjust not in scalings:
        raise ValueError(f"adjust is {adjust!r}: choose one of {', '.join(scalings)}")
    direction = optax.chain(
        averaged_gradient(momentum, nesterov=nesterov),
        orthogonalize(coefficients=coefficients, steps=steps, eps=ns_eps, adjust="none"),
        scalings[adjust],
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
        id="normuon",
        name="NorMuon",
        factory=normuon,
        group="matrix_preconditioned",
        title="NorMuon: Making Muon more efficient and scalable",
        authors="Li et al.",
        year=2025,
        arxiv="2510.05491",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.05,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + m),
        checked=("pytorch_optimizer 4.1.0", "zij 0.1.1"),
    ),
)
