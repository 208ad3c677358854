"""Adam whose moments are eight-bit floating point numbers."""

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.quantization import E4M3, E5M2, Storage, with_stored_moments


def adam_fp8(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """FP8 Adam: the first moment in E4M3, the second one, which needs the range, in E5M2.

    Every array has one scale, which brings its largest magnitude to the format's largest number.
    With hats for division by 1 - b^t:

        m = b1 m_8 + (1 - b1) g
        v = b2 v_8 + (1 - b2) g^2
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)
        m_8, v_8 <- E4M3(m), E5M2(v)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_fp8(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Fishman et al., "Scaling FP8 training to trillion-token LLMs", 2024, arXiv:2409.12517.

    Deviations:
      The authors' code was not available: a scale is taken as that of the array at the same step.
      The paper's activation, Smooth-SwiGLU, is no part of the optimizer.
    """
    return optax.chain(
        with_stored_moments(
            optax.scale_by_adam(b1, b2, eps),
            {"mu": Storage(E4M3, block_size=None), "nu": Storage(E5M2, block_size=None)},
        ),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="adam_fp8",
        name="FP8 Adam",
        factory=adam_fp8,
        group="quantized",
        title="Scaling FP8 training to trillion-token LLMs",
        authors="Fishman et al.",
        year=2024,
        arxiv="2409.12517",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 2 * (m * n + 4),
        deviations=(
            "The authors' code was not available: a scale is taken as that of the array at the "
            "same step. The paper's activation, Smooth-SwiGLU, is no part of the optimizer."
        ),
        checked=("equations",),
    ),
)
