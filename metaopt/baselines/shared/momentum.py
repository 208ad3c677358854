"""Momentum as methods for matrices average their gradients."""

from typing import Any

import optax


def averaged_gradient(decay: Any, *, nesterov: bool = False) -> optax.GradientTransformation:
    """Averages the gradient, and looks ahead as Nesterov does if told.

        m <- b m + (1 - b) g
        u = (1 - b) g + b m if nesterov else m

    Without correction for the start at zero: what follows takes away the scale.

    Args:
      decay: b.
      nesterov: return u of the second line.
    """
    return optax.chain(optax.trace(decay, nesterov), optax.scale(1 - decay))
