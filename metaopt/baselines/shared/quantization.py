"""Numbers in few bits: arrays cut into blocks, each with a scale of its own.

A block is divided by its largest magnitude, and what results, between -1 and 1, is rounded to the
nearest of the numbers that a format has. One outlier then costs the precision of its block alone.

Sources: Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2021, arXiv:2110.02861;
bitsandbytes-foundation/bitsandbytes; Modoranu et al., "MicroAdam", 2024, arXiv:2405.15593, for
those of four bits.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.baselines.shared.trees import on_leaves

# ---------------------------------------------------------------- formats


class Format(NamedTuple):
    """The numbers between -1 and 1 that can be stored.

    Attributes:
      encode: numbers between -1 and 1 -> codes of eight bits.
      decode: (codes, dtype) -> the numbers.
    """

    encode: Callable[[jax.Array], jax.Array]
    decode: Callable[[jax.Array, Any], jax.Array]


def dynamic_map(*, signed: bool) -> np.ndarray:
    """The 256 numbers of dynamic tree quantization, in order: float32 (256,).

    Seven decades down to 1e-7; the larger the decade, the more bits are left for the fraction. The
    unsigned map spends the bit of the sign on the fraction.
    """
    values = [np.array([0.0, 1.0])]
    for decade in range(7):
        edges = np.linspace(0.1, 1.0, 2 ** (decade if signed else decade + 1) + 1)
        fractions = 10.0 ** (decade - 6) * (edges[:-1] + edges[1:]) / 2
        values += [fractions, -fractions] if signed else [fractions]
    return np.sort(np.concatenate(values)).astype(np.float32)


def _nearest(values: np.ndarray) -> Format:
    """The format of a table of 256 numbers, in order."""
    between = (values[1:] + values[:-1]) / 2

    def encode(x: jax.Array) -> jax.Array:
        edges = jnp.asarray(between, x.dtype)
        # Eight comparisons for each number, in one pass.
        return jnp.searchsorted(edges, x, method="scan_unrolled").astype(jnp.uint8)

    return Format(encode, lambda codes, dtype: jnp.asarray(values, dtype)[codes])


def _float8(dtype: Any) -> Format:
    """A floating point format of eight bits, its largest number for 1."""
    largest = float(jnp.finfo(dtype).max)
    return Format(
        lambda x: (x * largest).astype(dtype),
        lambda codes, dtype: codes.astype(dtype) / largest,
    )


DYNAMIC = _nearest(dynamic_map(signed=True))
"""Dynamic tree quantization, with sign."""

UNSIGNED_DYNAMIC = _nearest(dynamic_map(signed=False))
"""Dynamic tree quantization of what is never negative."""

LINEAR = Format(
    lambda x: jnp.round(127 * x).astype(jnp.int8),
    lambda codes, dtype: codes.astype(dtype) / 127,
)
"""The multiples of 1/127."""

E4M3 = _float8(jnp.float8_e4m3fn)
"""Four bits of exponent, three of mantissa."""

E5M2 = _float8(jnp.float8_e5m2)
"""Five bits of exponent, two of mantissa: more range, less precision."""

# ---------------------------------------------------------------- blocks


class Quantized(NamedTuple):
    """An array in eight bits.

    Attributes:
      codes: in the array's shape.
      scales: float32 (blocks,), the largest magnitude of each.
    """

    codes: jax.Array
    scales: jax.Array


class Storage(NamedTuple):
    """How arrays are stored.

    Attributes:
      format: which numbers there are.
      block_size: how many numbers share a scale; None for one scale for each array.
      min_size: arrays of fewer numbers stay as they are.
    """

    format: Format
    block_size: int | None = 256
    min_size: int = 0

    def store(self, x: jax.Array, dtype: Any) -> Any:
        """An array in eight bits: `Quantized`, or the array with `dtype` if it is small."""
        if x.size < max(1, self.min_size):
            return x.astype(dtype)
        blocks = _blocks(x.ravel(), self.block_size)
        scales = jnp.abs(blocks).max(1).astype(jnp.float32)
        # A block of zeros has any scale.
        codes = self.format.encode(blocks / jnp.where(scales > 0, scales, 1)[:, None])
        return Quantized(codes.ravel()[: x.size].reshape(x.shape), scales)

    def load(self, stored: Any, dtype: Any) -> jax.Array:
        """What was stored, as nearly as the format allows."""
        if not isinstance(stored, Quantized):
            return stored.astype(dtype)
        codes, scales = stored
        blocks = _blocks(codes.ravel(), self.block_size)
        values = self.format.decode(blocks, dtype) * scales[:, None].astype(dtype)
        return values.ravel()[: codes.size].reshape(codes.shape)


def _blocks(flat: jax.Array, block_size: int | None) -> jax.Array:
    """Rows of `block_size` numbers; the last number is repeated to fill the last row."""
    block_size = max(1, min(block_size or flat.size, flat.size))
    padding = -flat.size % block_size
    return (jnp.pad(flat, (0, padding), mode="edge") if padding else flat).reshape(-1, block_size)


def with_stored_moments(
    inner: optax.GradientTransformation, storages: Mapping[str, Storage]
) -> optax.GradientTransformationExtraArgs:
    """A transformation that keeps some of its state in eight bits from one step to the next.

    In a step it computes as ever, in float32 or wider: load, step, store.

    Args:
      inner: its state is a NamedTuple.
      storages: field of that state, a tree like the parameters -> how it is stored.
    """

    def mapped(function: Callable[..., Any], like: Any, state: Any, *others: Any) -> Any:
        fields = {
            name: jax.tree.map(
                partial(function, how), like, *(getattr(s, name) for s in (state, *others))
            )
            for name, how in storages.items()
        }
        return state._replace(**fields)

    def store(how: Storage, like: jax.Array, x: jax.Array, *before: Any) -> Any:
        # What is not quantized has the parameter's dtype, which a gradient need not have.
        plain = next((b.dtype for b in before if not isinstance(b, Quantized)), like.dtype)
        return how.store(x, plain)

    def load(how: Storage, like: jax.Array, stored: Any) -> jax.Array:
        return how.load(stored, jnp.promote_types(like.dtype, jnp.float32))

    def init(params: optax.Params) -> Any:
        return mapped(store, params, inner.init(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        directions, after = inner.update(updates, mapped(load, updates, state), params)
        like = updates if params is None else params
        return optax.tree.cast_like(directions, like), mapped(store, updates, after, state)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


# ---------------------------------------------------------------- four bits


class Nibbles(NamedTuple):
    """A vector in four bits.

    Attributes:
      codes: uint8 (half as many, rounded up), two of its numbers in each, the first one on top.
      lowest: bfloat16 (blocks,), the smallest number of each.
      highest: bfloat16 (blocks,), the largest.
    """

    codes: jax.Array
    lowest: jax.Array
    highest: jax.Array


def to_nibbles(x: jax.Array, block_size: int) -> Nibbles:
    """The nearest of 16 numbers from the smallest of a block to its largest.

    Args:
      x: (n,).
      block_size: how many numbers share their ends.
    """
    blocks = _blocks(x, block_size)
    lowest, highest = (end.astype(jnp.bfloat16) for end in (blocks.min(1), blocks.max(1)))
    offset, step = _grid(lowest, highest, x.dtype)
    # The ends are rounded to bfloat16, so that numbers may lie beyond them.
    codes = jnp.floor((blocks - offset) / jnp.where(step > 0, step, 1) + 0.5).clip(0, 15)
    codes = jnp.pad(codes.ravel()[: x.size], (0, x.size % 2)).astype(jnp.uint8)
    return Nibbles(16 * codes[::2] + codes[1::2], lowest, highest)


def from_nibbles(x: Nibbles, size: int, block_size: int, dtype: Any) -> jax.Array:
    """The vector of `size` numbers that `to_nibbles` stored."""
    codes = jnp.stack([x.codes // 16, x.codes % 16], 1).ravel()[:size]
    offset, step = _grid(x.lowest, x.highest, dtype)
    return (offset + step * _blocks(codes, block_size).astype(dtype)).ravel()[:size]


def _grid(lowest: jax.Array, highest: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """The first of 16 equally spaced numbers, and their distance: columns."""
    offset, end = lowest.astype(dtype)[:, None], highest.astype(dtype)[:, None]
    return offset, (end - offset) / 15
