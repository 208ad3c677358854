"""Adam's correction of moments that start at zero, as one factor of the step."""

from typing import Any

import jax
import jax.numpy as jnp


def debiasing(b1: Any, b2: Any, count: Any) -> jax.Array:
    """What corrects m / sqrt(v), where `eps` is added to the square root as it is.

    Args:
      b1: decay of the gradient's average m.
      b2: decay of the squares' average v.
      count: int32 (), steps taken, this one included.

    Returns:
      sqrt(1 - b2^t) / (1 - b1^t), a scalar.
    """
    return jnp.sqrt(1 - b2**count) / (1 - b1**count)
