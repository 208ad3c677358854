"""MicroAdam, Adam on the largest entries of the last few gradients, the rest fed back."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.quantization import Nibbles, from_nibbles, to_nibbles
from metaopt.baselines.shared.trees import on_leaves, unzipped

LARGEST_BLOCK = 2**15
"""Entries among which the largest are chosen, so that their indices are int16."""


class Window(NamedTuple):
    """What is kept of one parameter.

    Attributes:
      indices: int16 (window, k), where the largest entries of the last gradients were, each counted
        from the start of its block.
      values: bfloat16 (window, k), these entries.
      error: `Nibbles`, what has not been applied yet.
    """

    indices: jax.Array
    values: jax.Array
    error: Nibbles


class MicroAdamState(NamedTuple):
    """State of `scale_by_microadam`.

    Attributes:
      count: int32 (), steps taken.
      windows: `Window` for each parameter.
    """

    count: Any
    windows: Any


def scale_by_microadam(
    b1: float, b2: float, eps: float, *, window: int, density: float, error_block: int
) -> optax.GradientTransformationExtraArgs:
    """The direction of `microadam`."""

    def init(params: optax.Params) -> MicroAdamState:
        def leaf(w: jax.Array) -> Window:
            shape = (window, sum(part.blocks * part.chosen for part in _parts(w.size, density)))
            error = to_nibbles(jnp.zeros(w.size, w.dtype), error_block)
            return Window(jnp.zeros(shape, jnp.int16), jnp.zeros(shape, jnp.bfloat16), error)

        return MicroAdamState(jnp.zeros((), jnp.int32), jax.tree.map(leaf, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MicroAdamState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        slot = state.count % window
        ages = (state.count - jnp.arange(window)) % window

        def leaf(g: jax.Array, before: Window) -> tuple[jax.Array, Window]:
            wide = jnp.promote_types(g.dtype, jnp.float32)
            a = g.ravel().astype(wide) + from_nibbles(before.error, g.size, error_block, wide)
            largest, starts = _largest(a, density)
            indices = before.indices.at[slot].set((largest - starts).astype(jnp.int16))
            values = before.values.at[slot].set(a[largest].astype(jnp.bfloat16))
            error = to_nibbles(a.at[largest].set(0), error_block)

            def average(decay: Any, power: int) -> jax.Array:
                weights = (decay**ages).astype(wide)[:, None]
                total = jnp.zeros(g.size, wide)
                total = total.at[starts[None] + indices].add(weights * values.astype(wide) ** power)
                return (1 - decay) * total / (1 - decay**count)

            direction = average(b1, 1) / (jnp.sqrt(average(b2, 2)) + eps)
            direction = direction.reshape(g.shape).astype(g.dtype)
            return direction, Window(indices, values, error)

        stepped = jax.tree.map(leaf, updates, state.windows)
        directions, windows = unzipped(updates, stepped, 2)
        return directions, MicroAdamState(count, windows)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


class _Part(NamedTuple):
    """Blocks of one size.

    Attributes:
      start: the place of their first entry.
      blocks: how many there are.
      size: entries of each.
      chosen: how many of those are the largest.
    """

    start: int
    blocks: int
    size: int
    chosen: int


def _parts(size: int, density: float) -> list[_Part]:
    """The blocks of an array: as many of the largest size as there are, and what is left."""
    blocks, rest = divmod(size, LARGEST_BLOCK)
    parts = [(0, blocks, LARGEST_BLOCK), (size - rest, 1, rest)]
    return [_Part(*p, math.ceil(density * p[2])) for p in parts if p[1] * p[2] > 0]


def _largest(a: jax.Array, density: float) -> tuple[jax.Array, jax.Array]:
    """The places of the largest entries of each block, and where the block of each starts."""
    none = jnp.zeros(0, jnp.int32)
    places, starts = [none], [none]
    for start, blocks, size, chosen in _parts(a.size, density):
        rows = jnp.abs(a[start : start + blocks * size]).reshape(blocks, size)
        first = jnp.repeat(start + size * jnp.arange(blocks, dtype=jnp.int32), chosen)
        places.append(first + jax.lax.top_k(rows, chosen)[1].ravel())
        starts.append(first)
    return jnp.concatenate(places), jnp.concatenate(starts)


def microadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    window: int = 10,
    density: float = 0.01,
    error_block: int = 64,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """MicroAdam: a window of sparse gradients in place of moments, with feedback of the error.

    Q rounds to four bits, between the smallest and the largest number of each block:

        a = g + e
        I_t, V_t = the largest k entries of |a|, and their values
        e <- Q(a without those)
        m = (1 - b1) / (1 - b1^t) sum over the window of b1^(t - i) V_i at I_i
        v = (1 - b2) / (1 - b2^t) sum over the window of b2^(t - i) V_i^2 at I_i
        w <- w - lr (m / (sqrt(v) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      window: how many gradients are remembered.
      density: which part of a gradient is, of each block of at most 2^15 entries.
      error_block: how many entries of the error share a scale.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: window is less than 1, or density is not within (0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = microadam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Modoranu et al., "MicroAdam: Accurate Adaptive Optimization with Low Space Overhead and
      Provable Convergence", 2024, arXiv:2405.15593; IST-DASLab/ISTA-DASLab-Optimizers.

    Deviations:
      Gradients keep their precision where the authors' code rounds them to bfloat16.
    """
    if window < 1 or not 0 < density <= 1:
        raise ValueError(
            f"microadam: window={window} must be at least 1, density={density} within (0, 1]"
        )
    return optax.chain(
        scale_by_microadam(b1, b2, eps, window=window, density=density, error_block=error_block),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def _matrix_bytes(m: int, n: int) -> int:
    """Of a window of 3, a quarter of the entries, and errors in blocks of 8."""
    chosen = sum(part.blocks * part.chosen for part in _parts(m * n, 0.25))
    return 3 * chosen * (2 + 2) + m * n // 2 + 2 * 2 * (m * n // 8)


ROWS = (
    Baseline(
        id="microadam",
        name="MicroAdam",
        factory=microadam,
        group="memory_efficient",
        title=(
            "MicroAdam: Accurate Adaptive Optimization with Low Space Overhead and Provable "
            "Convergence"
        ),
        authors="Modoranu et al.",
        year=2024,
        arxiv="2405.15593",
        needs=("params",),
        test={"window": 3, "density": 0.25, "error_block": 8, "weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=_matrix_bytes,
        deviations=(
            "Gradients keep their precision where the authors' code rounds them to bfloat16."
        ),
        checked=("equations",),
    ),
)
