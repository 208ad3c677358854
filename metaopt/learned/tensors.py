"""What a recurrent network sees of a tensor, and its layers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# ---------------------------------------------------------------- what there is to know of one


def mean(x: jax.Array) -> jax.Array:
    """The mean over a tensor, float32 (); 0 for one without elements."""
    return jnp.sum(x) / max(1, x.size)


_FRACTIONS = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)

FRACTIONS, RANKS = len(_FRACTIONS), 5
"""Features of `fraction_features`, and of `rank_features`."""


def fraction_features(count: jax.Array, total: jax.Array) -> jax.Array:
    """tanh(10 (t / T - c)) for nine c, float32 (9,), of update t in a training of T."""
    return jnp.tanh(10.0 * (count.astype(jnp.float32) / total - jnp.asarray(_FRACTIONS)))


def rank_features(w: jax.Array) -> jax.Array:
    """The number of axes longer than 1, up to 4, as a unit vector, float32 (5,)."""
    return jax.nn.one_hot(min(RANKS - 1, sum(size > 1 for size in w.shape)), RANKS)


def magnitude(x: jax.Array) -> jax.Array:
    """0.5 clip(log(1e-8 + 10 |x|), -5, 5), so that numbers of any size can be an input."""
    return 0.5 * jnp.clip(jnp.log(1e-8 + jnp.abs(10.0 * x)), -5.0, 5.0)


# ---------------------------------------------------------------- layers on rows


class Shifted(NamedTuple):
    """A matrix W + sign N, where W is the same in many of them and N in two.

    Attributes:
      w: float32 (inputs, outputs).
      sign: float32 ().
      noise: bfloat16 (inputs, outputs).
    """

    w: Any
    sign: Any
    noise: Any


class LowRank(NamedTuple):
    """A matrix W + A B'.

    Attributes:
      w: float32 (inputs, outputs).
      a: float32 (inputs, rank).
      b: float32 (outputs, rank).
    """

    w: Any
    a: Any
    b: Any


def linear(layer: dict[str, Any], x: jax.Array) -> jax.Array:
    """X W + b for each row of x, float32 (rows, inputs); W may be `Shifted` or `LowRank`."""
    return _product(x, layer["w"]) + layer["b"][None]


def _product(x: jax.Array, w: jax.Array | Shifted | LowRank) -> jax.Array:
    if isinstance(w, Shifted):
        return jnp.dot(x, w.w) + w.sign * _half_product(x, w.noise)
    if isinstance(w, LowRank):
        return jnp.dot(x, w.w) + jnp.dot(jnp.dot(x, w.a), w.b.T)
    return jnp.dot(x, w)


def _half_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """X W in float32, W bfloat16: X as a sum of two bfloat16, so that W is read once and as it is.

    Where W does not fit a cache, reading it is all that counts.
    """
    coarse = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    both = jnp.concatenate([coarse, x - coarse]).astype(jnp.bfloat16)
    sums = jnp.dot(both, w, preferred_element_type=jnp.float32)
    return sums[: len(x)] + sums[len(x) :]
