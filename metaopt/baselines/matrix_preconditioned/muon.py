"""Muon, which makes the momentum of every matrix orthogonal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.momentum import averaged_gradient
from metaopt.baselines.shared.newton_schulz import QUINTIC, Coefficients, newton_schulz
from metaopt.baselines.shared.norms import to_norm

Adjust = Literal["original", "match_rms_adamw", "none"]
"""How the size of a step depends on the shape (m, n) of a matrix.

- original: sqrt(max(1, m / n)), of the author.
- match_rms_adamw: 0.2 sqrt(max(m, n)), of Moonlight: entries as large as AdamW's, whose learning
  rate and weight decay then serve.
- none: 1, a step of spectral norm 1.
"""


def shape_factor(shape: Sequence[int], adjust: Adjust) -> float:
    """The factor of a matrix's step, as `Adjust` says.

    Raises:
      ValueError: there is no such adjustment.
    """
    m, n = shape[-2:]
    factors: Mapping[str, Callable[[], float]] = {
        "original": lambda: max(1, m / n) ** 0.5,
        "match_rms_adamw": lambda: 0.2 * max(m, n) ** 0.5,
        "none": lambda: 1.0,
    }
    return factors[require_adjust(adjust)]()


def require_adjust(adjust: str) -> str:
    """A known adjustment.

    Raises:
      ValueError: it is not one.
    """
    if adjust not in get_args(Adjust):
        raise ValueError(f"adjust is {adjust!r}: choose one of {', '.join(get_args(Adjust))}")
    return adjust


def orthogonalize(
    *,
    coefficients: Coefficients | Sequence[Coefficients] = QUINTIC,
    steps: int = 5,
    eps: float = 1e-7,
    adjust: Adjust = "original",
) -> optax.GradientTransformation:
    """Newton-Schulz iterations on every matrix, and the factor of its shape; stateless."""
    require_adjust(adjust)

    def orthogonal(u: jax.Array) -> jax.Array:
        u = newton_schulz(u, coefficients=coefficients, steps=steps, eps=eps)
        return shape_factor(u.shape, adjust) * u

    return optax.stateless(lambda updates, _: jax.tree.map(orthogonal, updates))


def match_rms(rms: float = 0.2) -> optax.GradientTransformation:
    """Scales every matrix to a root mean square, by default that of AdamW's steps; stateless."""

    def scaled(u: jax.Array) -> jax.Array:
        return to_norm(u, rms * u.size**0.5)

    return optax.stateless(lambda updates, _: jax.tree.map(scaled, updates))


def muon(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    nesterov: bool = True,
    coefficients: Coefficients | Sequence[Coefficients] = QUINTIC,
    steps: int = 5,
    eps: float = 1e-7,
    adjust: Adjust = "original",
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Muon: the momentum's orthogonal factor, by Newton-Schulz iterations.

    Of a weight W of shape (m, n), m outputs:

        M <- b M + (1 - b) G
        U = (1 - b) G + b M
        X = U / (||U||_F + eps)
        X <- 3.4445 X - 4.775 (X X^T) X + 2.0315 (X X^T)^2 X        5 times
        W <- W - lr (sqrt(max(1, m / n)) X + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: b.
      nesterov: as the second line says; else U = M.
      coefficients: of the iteration, the same for all steps or of each; `shared.newton_schulz` has
        several.
      steps: of the iteration.
      eps: added to the norm.
      adjust: the factor that depends on the shape: original, match_rms_adamw or none; see `Adjust`.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `adjust` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = muon(0.02)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
      kellerjordan.github.io/posts/muon; KellerJordan/Muon. The factor match_rms_adamw: Liu et al.,
      "Muon is Scalable for LLM Training", 2025, arXiv:2502.16982.

    Deviations:
      Optax's function corrects the momentum's bias in a way of its own from the second step on,
      and has (inputs, outputs) for rows and columns.
    """
    direction = optax.chain(
        averaged_gradient(momentum, nesterov=nesterov),
        orthogonalize(coefficients=coefficients, steps=steps, eps=eps, adjust=adjust),
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
        id="muon",
        name="Muon",
        factory=muon,
        group="matrix_preconditioned",
        title="Muon: An optimizer for hidden layers in neural networks",
        authors="Jordan et al.",
        year=2024,
        link="kellerjordan.github.io/posts/muon",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.02,
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        deviations="Optax's function corrects the momentum's bias in a way of its own from the "
        "second step on, and has (inputs, outputs) for rows and columns.",
        checked=("pytorch_optimizer 4.1.0", "torch 2.13.0", "zij 0.1.1"),
    ),
)
