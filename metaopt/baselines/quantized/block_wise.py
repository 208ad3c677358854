"""Adam, AdamW and momentum whose states take eight bits, quantized block by block."""

from collections.abc import Callable

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.quantization import (
    DYNAMIC,
    UNSIGNED_DYNAMIC,
    Storage,
    with_stored_moments,
)


def scale_by_adam_8bit(
    b1: float, b2: float, eps: float, block_size: int, min_size: int
) -> optax.GradientTransformationExtraArgs:
    """Optax's Adam with both moments in eight bits."""
    storages = {
        "mu": Storage(DYNAMIC, block_size, min_size),
        "nu": Storage(UNSIGNED_DYNAMIC, block_size, min_size),
    }
    return with_stored_moments(optax.scale_by_adam(b1, b2, eps), storages)


def adam_8bit(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    block_size: int = 2048,
    min_size: int = 4096,
) -> optax.GradientTransformationExtraArgs:
    """8-bit Adam: moments are stored in eight bits, and used in 32.

    Q divides every block of `block_size` numbers by its largest magnitude and rounds to the nearest
    of 256 numbers, dynamic tree quantization. With hats for division by 1 - b^t:

        m = b1 m_8 + (1 - b1) g
        v = b2 v_8 + (1 - b2) g^2
        w <- w - lr m_hat / (sqrt(v_hat) + eps)
        m_8, v_8 <- Q(m), Q(v)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      block_size: numbers that share a scale. The authors' code came to have 256.
      min_size: parameters of fewer numbers have moments as precise as themselves.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_8bit(1e-3, min_size=0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2021, arXiv:2110.02861;
      bitsandbytes-foundation/bitsandbytes.

    Deviations:
      Every number is rounded to the nearest one. The authors' CUDA code rounds no negative first
      moment to zero, but to the number below it.
    """
    return optax.chain(
        scale_by_adam_8bit(b1, b2, eps, block_size, min_size),
        optax.scale_by_learning_rate(learning_rate),
    )


def adamw_8bit(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
    block_size: int = 2048,
    min_size: int = 4096,
) -> optax.GradientTransformationExtraArgs:
    """8-bit AdamW: `adam_8bit` with decoupled weight decay.

    Q rounds to eight bits, as in `adam_8bit`:

        m = b1 m_8 + (1 - b1) g
        v = b2 v_8 + (1 - b2) g^2
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)
        m_8, v_8 <- Q(m), Q(v)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      weight_decay: multiplied by the learning rate.
      block_size: numbers that share a scale. The authors' code came to have 256.
      min_size: parameters of fewer numbers have moments as precise as themselves.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamw_8bit(1e-3, min_size=0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2021, arXiv:2110.02861;
      bitsandbytes-foundation/bitsandbytes.

    Deviations:
      Every number is rounded to the nearest one. The authors' CUDA code rounds no negative first
      moment to zero, but to the number below it.
    """
    return optax.chain(
        scale_by_adam_8bit(b1, b2, eps, block_size, min_size),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def momentum_8bit(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    block_size: int = 2048,
    min_size: int = 4096,
) -> optax.GradientTransformationExtraArgs:
    """8-bit momentum: SGD whose momentum is stored in eight bits, and used in 32.

    Q rounds to eight bits, as in `adam_8bit`:

        m = momentum m_8 + g
        w <- w - lr m
        m_8 <- Q(m)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the gradients' sum.
      block_size: numbers that share a scale. The authors' code came to have 256.
      min_size: parameters of fewer numbers have a momentum as precise as themselves.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = momentum_8bit(0.1, min_size=0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2021, arXiv:2110.02861;
      bitsandbytes-foundation/bitsandbytes.

    Deviations:
      Every number is rounded to the nearest one. The authors' CUDA code rounds no negative first
      moment to zero, but to the number below it.
    """
    return optax.chain(
        with_stored_moments(
            optax.trace(momentum), {"trace": Storage(DYNAMIC, block_size, min_size)}
        ),
        optax.scale_by_learning_rate(learning_rate),
    )


_TEST = {"block_size": 8, "min_size": 0}


def _matrix_bytes(moments: int) -> Callable[[int, int], float]:
    """A byte for each number and four for each block of eight."""
    return lambda m, n: moments * (m * n + 4 * (m * n // 8))


ROWS = tuple(
    Baseline(
        id=factory.__name__,
        name=name,
        factory=factory,
        group="quantized",
        title="8-bit Optimizers via Block-wise Quantization",
        authors="Dettmers et al.",
        year=2021,
        arxiv="2110.02861",
        needs=("params",) if "weight_decay" in tuning else (),
        test=_TEST,
        tuning=tuning,
        matrix_bytes=_matrix_bytes(moments),
        deviations=(
            "Every number is rounded to the nearest one. The authors' CUDA code rounds no negative "
            "first moment to zero, but to the number below it."
        ),
        checked=("equations",),
    )
    for factory, name, moments, tuning in (
        (adam_8bit, "8-bit Adam", 2, tuned(0.3)),
        (momentum_8bit, "8-bit momentum", 1, tuned(3.0)),
        (adamw_8bit, "8-bit AdamW", 2, tuned(0.3, weight_decay=(1e-4, 1.0))),
    )
)
