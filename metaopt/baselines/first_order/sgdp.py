"""SGDP, SGD with the projection of AdamP."""

import optax

from metaopt.baselines.adaptive.adamp import on_scale_invariant
from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes


def sgdp(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    nesterov: bool = False,
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    delta: float = 0.1,
    wd_ratio: float = 0.1,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """SGDP: SGD with momentum, projected as AdamP is.

    A matrix looks scale-invariant by its rows if |cos(g_i, w_i)| < delta / sqrt(columns) for every
    row i, or else as a whole, if |cos(g, w)| < delta / sqrt(size):

        m <- momentum m + g
        p = m, or g + momentum m with nesterov
        if scale-invariant, for each row or for the whole, with n = w / (|w| + eps):
            p <- p - (n . p) n
        w <- w - lr p - lr weight_decay / (1 - momentum) (wd_ratio if scale-invariant, else 1) w

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the gradients' sum.
      nesterov: whether to look ahead.
      eps: added to denominators.
      weight_decay: decoupled, multiplied by the learning rate.
      delta: how nearly orthogonal to the weights the gradient of a scale-invariant one is.
      wd_ratio: what remains of the weight decay of a scale-invariant weight.
      matrix_axes: parameters -> which axes are rows (outputs, channels) and columns; others are
        not scale-invariant.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sgdp(0.1, weight_decay=1e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Heo et al., "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant
      Weights", 2020, arXiv:2006.08217; clovaai/AdamP.

    Deviations:
      Embeddings and heads are not projected by default; the authors' code tests every parameter of
      two axes or more.
    """
    return on_scale_invariant(
        optax.trace(momentum, nesterov),
        learning_rate,
        weight_decay=weight_decay / (1 - momentum),
        delta=delta,
        wd_ratio=wd_ratio,
        eps=eps,
        matrix_axes=matrix_axes,
    )


ROWS = (
    Baseline(
        id="sgdp",
        name="SGDP",
        factory=sgdp,
        group="first_order",
        title=(
            "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights"
        ),
        authors="Heo et al.",
        year=2020,
        arxiv="2006.08217",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.01, "delta": 0.5},
        tuning=tuned(3.0, weight_decay=(1e-5, 1e-2)),
        deviations=(
            "Embeddings and heads are not projected by default; the authors' code tests every "
            "parameter of two axes or more."
        ),
        checked=("equations",),
    ),
)
