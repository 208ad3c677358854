"""What the D-Adapted methods share.

All hold d, which starts at d0 and only grows: each step bounds D, the distance from the first
parameters to the solution, from below. Steps are weighed by lam = lr d.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def ratio(numerator: Any, denominator: jax.Array) -> jax.Array:
    """A bound on D, or 0, which bounds nothing, where all gradients so far were zero."""
    none = denominator == 0
    return jnp.where(none, 0, numerator / jnp.where(none, 1, denominator))


def add_scaled(s: optax.Updates, lam: jax.Array, g: optax.Updates) -> optax.Updates:
    """The tree s + lam g in the dtypes of s."""
    return jax.tree.map(lambda s, g: (s + lam * g).astype(s.dtype), s, g)


def average(m: optax.Updates, decay: Any, lam: jax.Array, g: optax.Updates) -> optax.Updates:
    """The tree decay m + (1 - decay) lam g in the dtypes of m."""
    return jax.tree.map(lambda m, g: (decay * m + (1 - decay) * lam * g).astype(m.dtype), m, g)


def scaled(x: optax.Updates, v: optax.Updates, eps: Any) -> optax.Updates:
    """The tree x / (sqrt(v) + eps)."""
    return jax.tree.map(lambda x, v: x / (jnp.sqrt(v) + eps), x, v)


def require_positive(d0: Any, method: str) -> None:
    """Reject a d that cannot grow.

    Raises:
      ValueError: d0 is a number and not positive.
    """
    if isinstance(d0, int | float) and d0 <= 0:
        raise ValueError(f"{method} only multiplies d0: it is positive, such as 1e-6, not {d0}")
