"""SMMF, Adam whose moments are two vectors for each, and a bit for each sign."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import on_leaves, unzipped


class Factored(NamedTuple):
    """A non-negative matrix of rank one, rows columns^T.

    Attributes:
      rows: (n,).
      columns: (m,).
    """

    rows: jax.Array
    columns: jax.Array


class Moments(NamedTuple):
    """What is kept of one parameter.

    Attributes:
      m: `Factored`, the magnitudes of the first moment.
      signs: uint8 (an eighth of the parameter's size,), which of its entries are positive.
      v: `Factored`, the second moment.
    """

    m: Factored
    signs: jax.Array
    v: Factored


class SMMFState(NamedTuple):
    """State of `scale_by_smmf`.

    Attributes:
      count: int32 (), steps taken.
      moments: `Moments` for each parameter.
    """

    count: Any
    moments: Any


def scale_by_smmf(
    b1: float, eps: float, decay_rate: float, growth_rate: float
) -> optax.GradientTransformationExtraArgs:
    """The direction of `smmf`."""

    def init(params: optax.Params) -> SMMFState:
        def leaf(w: jax.Array) -> Moments:
            m, v = (_compressed(jnp.zeros(near_square(w.size), w.dtype)) for _ in range(2))
            return Moments(m, jnp.packbits(jnp.zeros(w.size, bool)), v)

        return SMMFState(jnp.zeros((), jnp.int32), jax.tree.map(leaf, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SMMFState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        t = jnp.asarray(count, jnp.result_type(float))
        b1_t, b2_t = b1 * growth_rate ** (t - 1), 1 - t**decay_rate

        def leaf(g: jax.Array, before: Moments) -> tuple[jax.Array, Moments]:
            square = g.reshape(near_square(g.size)).astype(before.v.rows.dtype)
            signs = jnp.unpackbits(before.signs, count=g.size).reshape(square.shape)
            m = jnp.where(signs == 1, 1, -1) * _expanded(before.m)
            m = jnp.asarray(b1_t * m + (1 - b1_t) * square, square.dtype)
            v = b2_t * _expanded(before.v) + (1 - b2_t) * jnp.square(square)
            v = jnp.asarray(v, square.dtype)
            after = Moments(_compressed(jnp.abs(m)), jnp.packbits(m.ravel() > 0), _compressed(v))
            return (m / (jnp.sqrt(v) + eps)).reshape(g.shape), after

        stepped = jax.tree.map(leaf, updates, state.moments)
        directions, moments = unzipped(updates, stepped, 2)
        return directions, SMMFState(count, moments)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def near_square(size: int) -> tuple[int, int]:
    """The two factors of a number that are nearest to each other, the larger one first."""
    smaller = next((i for i in range(math.isqrt(size), 0, -1) if size % i == 0), 1)
    return size // smaller, smaller


def _compressed(x: jax.Array) -> Factored:
    """The matrix of rank one with the row and column sums of x."""
    rows, columns = x.sum(1), x.sum(0)
    total = columns.sum()
    return Factored(rows, columns / jnp.where(total > 0, total, 1))


def _expanded(x: Factored) -> jax.Array:
    return jnp.outer(x.rows, x.columns)


def smmf(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    eps: float = 1e-8,
    *,
    decay_rate: float = -0.5,
    growth_rate: float = 0.999,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """SMMF: both moments of Adam as matrices of rank one, whatever the shape of the parameter.

    Every array is reshaped to a matrix as nearly square as possible. Between the steps, V and |M|
    are kept as r c^T / sum(c), r and c their row and column sums, and M's signs as bits:

        b1_t = b1 growth_rate^(t - 1),    b2_t = 1 - t^decay_rate
        M = b1_t sign(M) |M| + (1 - b1_t) g
        V = b2_t V + (1 - b2_t) g^2
        w <- w - lr (M / (sqrt(V) + eps) + weight_decay w)
        |M|, sign(M), V <- compressed

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average at the first step.
      eps: added to the denominator.
      decay_rate: exponent of the second moment's decay. The paper: -0.5 for convolutional
        networks, -0.8 for transformers.
      growth_rate: of the gradient's weight, as b1_t falls.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = smmf(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Park and Lee, "SMMF: Square-Matricized Momentum Factorization for Memory-Efficient
      Optimization", 2024, arXiv:2412.08894; eai-lab/SMMF.
    """
    return optax.chain(
        scale_by_smmf(b1, eps, decay_rate, growth_rate),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="smmf",
        name="SMMF",
        factory=smmf,
        group="memory_efficient",
        title=("SMMF: Square-Matricized Momentum Factorization for Memory-Efficient Optimization"),
        authors="Park, Lee",
        year=2024,
        arxiv="2412.08894",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * 2 * sum(near_square(m * n)) + m * n / 8,
        checked=("equations",),
    ),
)
