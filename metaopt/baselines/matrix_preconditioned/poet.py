"""POET, which trains a weight by rotating it and leaves its singular values as they are."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.periods import require_period
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import unzipped

Skews = tuple[jax.Array, jax.Array]
"""What R and P are made of: for each block of size b the b (b - 1) / 2 entries above the diagonal
of a skew-symmetric matrix; (row blocks, entries) and (column blocks, entries)."""


class POETState(NamedTuple):
    """State of `rotate_weights`, over a tuple of matrices.

    Attributes:
      count: int32 (), steps taken.
      key: of the orders of rows and columns, `jax.random.key(seed)`.
      fixed: W_0, the weights that are rotated.
      skews: `Skews` of each.
      m: moving average of the gradients of `skews`.
      v: moving average of their squares.
    """

    count: Any
    key: jax.Array
    fixed: optax.Params
    skews: Any
    m: Any
    v: Any


def rotate_weights(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    scale: float = 0.5,
    block_size: int = 256,
    terms: int = 3,
    period: int = 200,
    seed: int = 0,
) -> optax.GradientTransformation:
    """The steps of `poet`, whose arguments these are, of a tuple of matrices."""
    require_period(period, "poet")
    if block_size < 1 or terms < 1:
        raise ValueError(
            f"poet: block_size and terms must be 1 or more, not {block_size} and {terms}"
        )

    def init(params: optax.Params) -> POETState:
        def zeros(w: jax.Array) -> Skews:
            sizes = [(n, min(block_size, n)) for n in w.shape]
            rows, columns = (jnp.zeros((-(-n // b), b * (b - 1) // 2), w.dtype) for n, b in sizes)
            return rows, columns

        fixed = jax.tree.map(jnp.copy, params)
        skews = (jax.tree.map(zeros, params) for _ in range(3))
        return POETState(jnp.zeros((), jnp.int32), jax.random.key(seed), fixed, *skews)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, POETState]:
        params = require_params(params, "poet")
        # Adam starts anew with every W_0.
        age = state.count % period + 1
        merges = age == period
        rate = scale * rate_at(learning_rate, state.count) * debiasing(b1, b2, age)
        keys = _keys(state.key, state.count // period, updates)

        def step(
            g: jax.Array, w: jax.Array, key: jax.Array, fixed: jax.Array, *adam: Skews
        ) -> tuple[Any, ...]:
            skews, m, v = adam
            rows, columns = orders(key, w.shape)
            there = fixed[rows][:, columns]
            new, pull = jax.vjp(lambda s: _rotated(there, s, block_size, terms), skews)
            (gradient,) = pull(g[rows][:, columns])
            m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, gradient)
            v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, gradient)
            skews = jax.tree.map(
                lambda s, m, v: (s - rate * m / (jnp.sqrt(v) + eps)).astype(s.dtype), skews, m, v
            )
            new = _rotated(there, skews, block_size, terms)
            new = new[jnp.argsort(rows)][:, jnp.argsort(columns)]
            fixed = jnp.where(merges, new, fixed)
            kept = jax.tree.map(lambda a: jnp.where(merges, 0, a).astype(a.dtype), (skews, m, v))
            return new - w, fixed, *kept

        stepped = jax.tree.map(step, updates, params, keys, *state[2:])
        steps, *rest = unzipped(updates, stepped, 5)
        return steps, POETState(optax.safe_increment(state.count), state.key, *rest)

    return optax.GradientTransformation(init, update)


def poet(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    scale: float = 0.5,
    block_size: int = 256,
    terms: int = 3,
    period: int = 200,
    seed: int = 0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """POET: a weight is its start between two rotations, and these are trained.

    With R and P block-diagonal in an order of rows and columns that is drawn anew with every W_0,
    and Q_R, Q_P skew-symmetric, zero at first:

        R = (I + Q_R) (I + Q_R + ... + Q_R^terms), which is (I + Q_R) (I - Q_R)^{-1} but for a rest
        P = (I + Q_P) (I + Q_P + ... + Q_P^terms)
        W = R W_0 P
        Q_R, Q_P <- a step of Adam at scale lr, with gradients by the chain rule from that of W
        W_0 <- W;  Q_R, Q_P <- 0, and Adam starts anew        every period steps

    Singular values stay those of the start, so that it decides how large weights are; the authors
    draw it normally, with columns of length one.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: Adam's decay of the gradient's average.
      b2: Adam's decay of the average of squares.
      eps: added to Adam's denominator.
      scale: of the learning rate of rotations, over that of the default fallback.
      block_size: b, of the blocks of R and P; the last one may be smaller.
      terms: powers of the Neumann series that inverts I - Q.
      period: steps from one merge to the next.
      seed: of the orders: those of matrix i are drawn, after k merges, with
        `fold_in(fold_in(key(seed), k), i)`, split for rows and columns.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters, and takes them to its state's R W_0 P.

    Raises:
      ValueError: the block size, the terms or the period is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = poet(1e-3)
      >>> params = {"kernel": jnp.eye(2, 3), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Qiu et al., "Reparameterized LLM Training via Orthogonal Equivalence Transformation", 2025,
      arXiv:2506.08001; Sphere-AI-Lab/poet.

    Deviations: a transformation of gradients, not a layer: the network holds W, and the state W_0
      besides, so that no memory is saved. Sizes need not be multiples of the block's.
    """
    if fallback is None:
        fallback = optax.adamw(learning_rate)
    method = rotate_weights(
        learning_rate,
        b1,
        b2,
        eps,
        scale=scale,
        block_size=block_size,
        terms=terms,
        period=period,
        seed=seed,
    )
    return on_matrices(method, fallback, matrix_axes)


def orders(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Random orders of a matrix' rows and columns."""
    of_rows, of_columns = jax.random.split(key)
    return jax.random.permutation(of_rows, shape[0]), jax.random.permutation(of_columns, shape[1])


def _keys(key: jax.Array, merged: jax.Array, like: Any) -> Any:
    """A key for each matrix."""
    key = jax.random.fold_in(key, merged)
    leaves, treedef = jax.tree.flatten(like)
    return jax.tree.unflatten(treedef, [jax.random.fold_in(key, i) for i in range(len(leaves))])


def _rotated(w: jax.Array, skews: Skews, block_size: int, terms: int) -> jax.Array:
    """R W P."""
    r, p = skews
    left = _rotate(r, w, block_size, terms)
    # The transpose of P is made of -Q_P.
    return _rotate(-p, left.T, block_size, terms).T


def _rotate(skews: jax.Array, x: jax.Array, block_size: int, terms: int) -> jax.Array:
    """R x, where what the last block has more than x are zeros, which stay so."""
    b, count = min(block_size, x.shape[0]), len(skews)
    above = jnp.triu_indices(b, 1)
    half = jnp.zeros((count, b, b), x.dtype).at[:, *above].set(skews)
    q = half - half.mT
    identity = jnp.broadcast_to(jnp.eye(b, dtype=x.dtype), q.shape)
    series = identity
    for _ in range(terms):
        series = identity + q @ series
    blocks = jnp.pad(x, ((0, count * b - x.shape[0]), (0, 0))).reshape(count, b, -1)
    turned = (identity + q) @ series @ blocks
    return turned.reshape(count * b, -1)[: x.shape[0]]


ROWS = (
    Baseline(
        id="poet",
        name="POET",
        factory=poet,
        group="matrix_preconditioned",
        title="Reparameterized LLM Training via Orthogonal Equivalence Transformation",
        authors="Qiu et al.",
        year=2025,
        arxiv="2506.08001",
        needs=("params", "seed", "matrix_axes"),
        test={"block_size": 2, "period": 3},
        test_rate=0.05,
        tuning=tuned(0.1),
        deviations=(
            "A transformation of gradients, not a layer: the network holds W, and the state W_0 "
            "besides, so that no memory is saved. Sizes need not be multiples of the block's."
        ),
        checked=("equations",),
    ),
)
