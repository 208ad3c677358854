"""GWT, Adam on the coarse wavelet coefficients of the gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.memory_efficient.fira import growth_limiter, initial_norms
from metaopt.baselines.shared.averaged_adam import scale_by_debiasing
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.trees import unzipped, zeros_like
from metaopt.baselines.shared.wavelets import haar, inverse_haar


class GWTState(NamedTuple):
    """State of `scale_by_gwt`.

    Attributes:
      m: moving average of the approximation, (rows, about columns / 2^level) for each matrix.
      v: moving average of its square.
      norms: the norm of the last step of each approximation.
    """

    m: optax.Updates
    v: optax.Updates
    norms: optax.Updates


def scale_by_gwt(
    b1: float, b2: float, eps: float, level: int
) -> optax.GradientTransformationExtraArgs:
    """The direction of `gwt`, before the correction of Adam's moments."""

    def init(params: optax.Params) -> GWTState:
        coarse = jax.tree.map(lambda w: haar(w, level)[0], params)
        m, v = zeros_like(coarse, 2)
        return GWTState(m, v, initial_norms(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, GWTState]:
        del params, extra_args

        def leaf(g: jax.Array, m: jax.Array, v: jax.Array, norm: jax.Array) -> Any:
            approximation, *details = haar(g, level)
            m = (b1 * m + (1 - b1) * approximation).astype(g.dtype)
            v = (b2 * v + (1 - b2) * jnp.square(approximation)).astype(g.dtype)
            denominator = jnp.sqrt(v) + eps
            step = m / denominator
            limiter = growth_limiter(step, norm)
            step = step / limiter
            scaled = [
                d / (limiter * jnp.repeat(denominator, 2**i, -1)[:, : d.shape[-1]])
                for i, d in enumerate(details)
            ]
            direction = inverse_haar([step, *scaled], g.shape[-1])
            return direction, m, v, jnp.linalg.norm(step)

        stepped = jax.tree.map(leaf, updates, state.m, state.v, state.norms)
        directions, *after = unzipped(updates, stepped, 4)
        return directions, GWTState(*after)

    return optax.GradientTransformationExtraArgs(init, update)


def gwt(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    level: int = 2,
    scale: float = 1.0,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """GWT: Adam with moments of the gradient's coarse wavelet coefficients alone.

    With the Haar transform of every row of G:

        A, D_1, ..., D_level = haar(G)
        M <- b1 M + (1 - b1) A
        V <- b2 V + (1 - b2) A^2
        L = max(1.01, ||N|| / (||previous N / L|| + 1e-8)) / 1.01,    N = M / (sqrt(V) + eps)
        D_i <- D_i / (sqrt(V) + eps)        with the entry of V over each of them
        U = sqrt(1 - b2^t) / (1 - b1^t) inverse haar(N / L, D_1 / L, ..., D_level / L)
        W <- W - lr (scale U + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the coefficients' average.
      b2: decay of their squares' average.
      eps: added to the denominator.
      level: how often the transform halves the columns.
      scale: multiplies the learning rate of matrices.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: level is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = gwt(1e-2)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wen et al., "Breaking Memory Limits: Gradient Wavelet Transform Enhances LLMs Training", 2025,
      arXiv:2501.07237; zqOuO/GWT.

    Deviations:
      A transform rather than a wrapper: what divides the details is Adam's denominator, which no
      other optimizer has. Weights decay before the step, as in AdamW, where the authors' code lets
      them decay after it. The Haar wavelet only, their default. An N of zeros does not limit the
      next one; with the authors' code it then grows from 1e-8 by a hundredth each step.
    """
    if level < 1:
        raise ValueError(f"gwt: level={level} must be 1 or more; without it, that is Adam")
    direction = optax.chain(
        scale_by_gwt(b1, b2, eps, level), scale_by_debiasing(b1, b2), optax.scale(scale)
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
        id="gwt",
        name="GWT",
        factory=gwt,
        group="memory_efficient",
        title="Breaking Memory Limits: Gradient Wavelet Transform Enhances LLMs Training",
        authors="Wen et al.",
        year=2025,
        arxiv="2501.07237",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * m * (n // 4),
        deviations=(
            "A transform rather than a wrapper: what divides the details is Adam's denominator, "
            "which no other optimizer has. Weights decay before the step, as in AdamW, where the "
            "authors' code lets them decay after it. The Haar wavelet only, their default. An N of "
            "zeros does not limit the next one; with the authors' code it then grows from 1e-8 by "
            "a hundredth each step."
        ),
        checked=("equations",),
    ),
)
