"""AdaMuon, Muon with Adam's second moment on the orthogonal momentum."""

from collections.abc import Sequence

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import match_rms, orthogonalize
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.momentum import averaged_gradient
from metaopt.baselines.shared.newton_schulz import QUINTIC, Coefficients


def adamuon(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    *,
    nesterov: bool = True,
    sign: bool = True,
    coefficients: Coefficients | Sequence[Coefficients] = QUINTIC,
    steps: int = 5,
    ns_eps: float = 1e-7,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """AdaMuon: Muon whose orthogonal factor is divided by its own second moment.

    Of a weight W of shape (m, n), with NS for Muon's Newton-Schulz iterations:

        M <- b M + (1 - b) G
        U = (1 - b) G + b M
        O = NS(sign(U))
        V <- b2 V + (1 - b2) O^2
        X = O / (sqrt(V) + eps)
        W <- W - lr (0.2 sqrt(m n) X / ||X||_F + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; AdamW's serves.
      momentum: b.
      b2: decay of the second moment; the paper has b for both.
      eps: added to the denominator.
      nesterov: as the second line says; else U = M.
      sign: orthogonalize the momentum's signs. Without it, V is that of Muon's own step.
      coefficients: of the iteration; see `muon`.
      steps: of the iteration.
      ns_eps: added to the norm that the iteration divides by.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamuon(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Si, Zhang and Shen, "AdaMuon: Adaptive Muon Optimizer", 2025, arXiv:2507.11005;
      Chongjie-Si/AdaMuon.
    """
    direction = optax.chain(
        averaged_gradient(momentum, nesterov=nesterov),
        optax.scale_by_sign() if sign else optax.identity(),
        orthogonalize(coefficients=coefficients, steps=steps, eps=ns_eps, adjust="none"),
        optax.scale_by_rms(b2, eps, eps_in_sqrt=False),
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
        id="adamuon",
        name="AdaMuon",
        factory=adamuon,
        group="matrix_preconditioned",
        title="AdaMuon: Adaptive Muon Optimizer",
        authors="Si, Zhang, Shen",
        year=2025,
        arxiv="2507.11005",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.05,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        checked=("zij 0.1.1",),
    ),
)
