"""8-bit Muon, whose momentum is a byte for each parameter."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import orthogonalize
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.quantization import LINEAR, Format, Storage, with_stored_moments


def muon_8bit(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    steps: int = 5,
    number_format: Format = LINEAR,
    block_size: int = 2048,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """8-bit Muon: the momentum is stored in eight bits, and orthogonalized in full precision.

    Q divides every block of `block_size` numbers by its largest magnitude and rounds to the nearest
    multiple of 1 / 127. For a gradient G of shape (m, n):

        M = momentum M_8 + G
        W <- W - lr (0.2 sqrt(max(m, n)) newton_schulz(M) + weight_decay W)
        M_8 <- Q(M)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the gradients' sum.
      steps: of the Newton-Schulz iteration.
      number_format: what Q rounds to: `LINEAR`, or `DYNAMIC`, which the paper tries too, of
        `metaopt.baselines.shared.quantization`.
      block_size: numbers that share a scale.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = muon_8bit(1e-3)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Gupta et al., "Effective Quantization of Muon Optimizer States", 2025, arXiv:2509.23106.

    Deviations:
      The authors' code was not available: momentum without Nesterov's step, the factor
      0.2 sqrt(max(m, n)) and blocks of 2048 are taken from a description of the paper.
    """
    direction = optax.chain(
        with_stored_moments(optax.trace(momentum), {"trace": Storage(number_format, block_size)}),
        orthogonalize(steps=steps, adjust="match_rms_adamw"),
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
        id="muon_8bit",
        name="8-bit Muon",
        factory=muon_8bit,
        group="quantized",
        title="Effective Quantization of Muon Optimizer States",
        authors="Gupta et al.",
        year=2025,
        arxiv="2509.23106",
        needs=("params", "matrix_axes"),
        test={"block_size": 8, "weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: m * n + 4 * (m * n // 8),
        deviations=(
            "The authors' code was not available: momentum without Nesterov's step, the factor "
            "0.2 sqrt(max(m, n)) and blocks of 2048 are taken from a description of the paper."
        ),
        checked=("equations",),
    ),
)
