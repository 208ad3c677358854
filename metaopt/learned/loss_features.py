"""How a network's training is going, as a learned optimizer sees it: from its losses alone.

Ten averages of the loss, whose time constants go from ten steps to the whole training in equal
ratios, each kept with the correction for its start at 0. Feature i compares neighbours,

  clip((c_i - r_i) / max(1e-8, c_(i+1) - r_i) - 1, -1, 1)

with c the corrected averages and r the lowest that each has been: below 0 the loss falls. Neither
the loss's unit nor its lowest value matters. Before it is taken in, a loss is cut at twice the
largest average, in absolute value, so that one bad batch does not fill the slow ones.

Reference: Metz et al., "VeLO: training versatile learned optimizers by scaling up", 2022 (arXiv
2211.09760). Time constants follow the length of the training; the released weights had them fixed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_AVERAGES, _SHORTEST = 10, 10.0

COUNT = _AVERAGES - 1
"""Features."""

_UNSEEN = 3
"""Updates before which the features are 0: they compare losses with themselves."""


class Losses(NamedTuple):
    """Averages of the losses so far.

    Attributes:
      count: int32 (), losses taken in.
      total: float32 (10,), averages that begin at 0.
      weight: float32 (10,), what they would be if every loss had been 1.
      lowest: float32 (10,), the lowest of total / weight.
    """

    count: Any
    total: jax.Array
    weight: jax.Array
    lowest: jax.Array


def init() -> Losses:
    """Before any loss."""
    averages, corrections = (jnp.zeros(_AVERAGES, jnp.float32) for _ in range(2))
    lowest = jnp.full(_AVERAGES, jnp.inf, jnp.float32)
    return Losses(jnp.zeros((), jnp.int32), averages, corrections, lowest)


def updated(old: Losses, loss: jax.Array, num_steps: jax.Array) -> Losses:
    """With one more loss of a training of `num_steps`, a float32 scalar of at least 1."""
    longest = jnp.maximum(num_steps, _SHORTEST)
    constants = _SHORTEST * jnp.power(longest / _SHORTEST, jnp.linspace(0.0, 1.0, _AVERAGES))
    decay = jnp.exp(-1.0 / constants)
    largest = jnp.max(jnp.abs(_corrected(old)))
    bound = jnp.where(largest > 0, 2.0 * largest, jnp.inf)
    # A loss that is no number would stay in the averages for good.
    loss = jnp.where(jnp.isfinite(loss), jnp.minimum(bound, loss), bound)
    new = old._replace(
        count=old.count + 1,
        total=decay * old.total + (1 - decay) * loss,
        weight=decay * old.weight + (1 - decay),
    )
    new = new._replace(lowest=jnp.minimum(old.lowest, _corrected(new)))
    # Before the first that is one, there is nothing to stand in for it.
    return jax.tree.map(lambda a, b: jnp.where(jnp.isfinite(loss), a, b), new, old)


def features(losses: Losses) -> jax.Array:
    """The 9 features, float32 (9,), each in [-1, 1]; 0 until there is something to compare."""
    mean, lowest = _corrected(losses), losses.lowest[:-1]
    ratio = (mean[:-1] - lowest) / jnp.maximum(1e-8, mean[1:] - lowest)
    return jnp.where(losses.count >= _UNSEEN, jnp.clip(ratio - 1.0, -1.0, 1.0), 0.0)


def _corrected(losses: Losses) -> jax.Array:
    return losses.total / jnp.maximum(losses.weight, 1e-12)
