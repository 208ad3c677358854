"""Distributed Shampoo: Shampoo in blocks, with another method's step size."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.inverse_root import coupled_newton
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.periods import every, require_period
from metaopt.baselines.shared.power_iteration import top_singular
from metaopt.baselines.shared.trees import unzipped

Graft = Literal["sgd", "adagrad", "rmsprop"]


class GraftState(NamedTuple):
    """State of `scale_by_graft`.

    Attributes:
      squares: sum or moving average of squared gradients; of SGD None.
    """

    squares: Any


class DistributedShampooState(NamedTuple):
    """State of `scale_by_distributed_shampoo`, over a tuple of matrices.

    Attributes:
      count: int32 (), steps taken.
      graft: state of the method that is grafted.
      statistics: L and R of each matrix' blocks, twice (row blocks, column blocks, size, size).
      roots: their inverse fourth roots, alike.
    """

    count: Any
    graft: Any
    statistics: Any
    roots: Any


def scale_by_graft(graft: Graft, b2: float, eps: float) -> optax.GradientTransformation:
    """The direction whose size is grafted: g, or g / (sqrt(d) + eps).

    Args:
      graft: sgd has no d, adagrad d <- d + g^2, rmsprop d <- b2 d + (1 - b2) g^2.
      b2: decay of d.
      eps: added to the denominator.
    """
    if graft not in ("sgd", "adagrad", "rmsprop"):
        raise ValueError(f"distributed_shampoo: graft must be sgd, adagrad or rmsprop, not {graft}")

    def init(params: optax.Params) -> GraftState:
        return GraftState(None if graft == "sgd" else optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, GraftState]:
        del params
        if graft == "sgd":
            return updates, state
        if graft == "adagrad":
            squares = jax.tree.map(lambda g, d: d + g * g, updates, state.squares)
        else:
            squares = optax.tree.update_moment(updates, state.squares, b2, 2)
        directions = jax.tree.map(lambda g, d: g / (jnp.sqrt(d) + eps), updates, squares)
        return directions, GraftState(squares)

    return optax.GradientTransformation(init, update)


def scale_by_distributed_shampoo(
    b2: float = 0.999,
    eps: float = 1e-10,
    *,
    ridge: float = 1e-6,
    block_size: int = 1024,
    graft: Graft = "rmsprop",
    start: int = 5,
    period: int = 10,
) -> optax.GradientTransformation:
    """The direction of `distributed_shampoo`, whose arguments these are, of a tuple of matrices."""
    require_period(period, "distributed_shampoo")
    if block_size < 1:
        raise ValueError(f"distributed_shampoo: block_size must be 1 or more, not {block_size}")
    grafted = scale_by_graft(graft, b2, eps)

    def init(params: optax.Params) -> DistributedShampooState:
        def identities(factor: float) -> Any:
            def pair(w: jax.Array) -> tuple[jax.Array, ...]:
                rows, m, columns, n = _blocks(w, block_size).shape
                identity = (factor * jnp.eye(size, dtype=w.dtype) for size in (m, n))
                return tuple(jnp.tile(i, (rows, columns, 1, 1)) for i in identity)

            return jax.tree.map(pair, params)

        return DistributedShampooState(
            jnp.zeros((), jnp.int32), grafted.init(params), identities(ridge), identities(1.0)
        )

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, DistributedShampooState]:
        del params
        sizes, graft_state = grafted.update(updates, state.graft)

        def step(
            g: jax.Array, size: jax.Array, statistics: Any, roots: Any
        ) -> tuple[jax.Array, Any, Any]:
            blocks = _blocks(g, block_size)
            grams = (
                jnp.einsum("iajb,icjb->ijac", blocks, blocks),
                jnp.einsum("iajb,iajc->ijbc", blocks, blocks),
            )
            statistics = tuple(
                (b2 * h + (1 - b2) * gram).astype(h.dtype)
                for h, gram in zip(statistics, grams, strict=True)
            )
            roots = every(period, state.count, lambda: _roots(statistics, roots, ridge), roots)
            left, right = roots
            direction = _joined(jnp.einsum("ijac,icjd,ijdb->iajb", left, blocks, right), g.shape)
            direction = to_norm(direction, jnp.linalg.norm(size), eps=1e-16)
            return jnp.where(state.count >= start, direction, size), statistics, roots

        stepped = jax.tree.map(step, updates, sizes, state.statistics, state.roots)
        directions, statistics, roots = unzipped(updates, stepped, 3)
        count = optax.safe_increment(state.count)
        return directions, DistributedShampooState(count, graft_state, statistics, roots)

    return optax.GradientTransformation(init, update)


def distributed_shampoo(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-10,
    *,
    weight_decay: float = 0.0,
    ridge: float = 1e-6,
    block_size: int = 1024,
    graft: Graft = "rmsprop",
    start: int = 5,
    period: int = 10,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Distributed Shampoo: Shampoo with moving averages, on blocks, with a grafted step size.

    Of each block of a weight W, with L = R = ridge I at first, and lambda the largest eigenvalue;
    and from S on of the whole, with D the direction of the grafted method, such as RMSprop's:

        L <- b2 L + (1 - b2) G G^T
        R <- b2 R + (1 - b2) G^T G
        P, Q <- (L + ridge lambda_L I)^{-1/4}, (R + ridge lambda_R I)^{-1/4}     every period steps
        S = P G Q
        U = S ||D|| / ||S||        but D in the first start steps
        U <- U + weight_decay W
        M <- b1 M + U
        W <- W - lr (U + b1 M)

    Roots are computed by the coupled Newton iteration, and kept as they are where it fails.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of Nesterov's momentum.
      b2: decay of L, R and RMSprop's average.
      eps: added to the denominator of AdaGrad and RMSprop.
      weight_decay: added to the direction, before momentum.
      ridge: relative to the largest eigenvalue, added to all before the root is taken.
      block_size: the largest block's rows and columns.
      graft: whose size each matrix' step has: that of sgd, adagrad or rmsprop.
      start: steps that are those of the grafted method.
      period: steps from one computation of the roots to the next, the first step's among them.
      fallback: the optimizer of what is no matrix; default: the grafted method, with the same
        momentum, at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the period or the block size is below 1, or there is no such graft.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = distributed_shampoo(1e-3)
      >>> params = {"kernel": jnp.eye(2, 3), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Anil et al., "Scalable Second Order Optimization for Deep Learning", 2020, arXiv:2002.09018;
      google-research/google-research, scalable_shampoo.

    Deviations: one momentum goes on from the grafted method's steps to Shampoo's; the authors' code
      keeps one for each. Blocks share a device; nothing is asynchronous.
    """
    momentum = optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.trace(b1, nesterov=True),
        optax.scale_by_learning_rate(learning_rate),
    )
    method = scale_by_distributed_shampoo(
        b2, eps, ridge=ridge, block_size=block_size, graft=graft, start=start, period=period
    )
    if fallback is None:
        fallback = optax.chain(scale_by_graft(graft, b2, eps), momentum)
    return on_matrices(optax.chain(method, momentum), fallback, matrix_axes)


def _blocks(w: jax.Array, block_size: int) -> jax.Array:
    """A matrix as (row blocks, m, column blocks, n), with zeros where it does not fill them."""
    m, n = (min(block_size, size) for size in w.shape)
    padded = jnp.pad(w, ((0, -w.shape[0] % m), (0, -w.shape[1] % n)))
    return padded.reshape(padded.shape[0] // m, m, padded.shape[1] // n, n)


def _joined(blocks: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    rows, m, columns, n = blocks.shape
    return blocks.reshape(rows * m, columns * n)[: shape[0], : shape[1]]


def _roots(statistics: Any, before: Any, ridge: float) -> Any:
    """Inverse fourth roots of the blocks' statistics."""

    def root(h: jax.Array, last: jax.Array) -> jax.Array:
        size = h.shape[-1]
        largest, _, _ = top_singular(h, jnp.full(size, size**-0.5, h.dtype), steps=20)
        new = coupled_newton(h, 4, ridge * jnp.maximum(largest, 1e-25))
        return jnp.where(jnp.isfinite(new).all(), new, last)

    pairs = zip(statistics, before, strict=True)
    return tuple(jax.vmap(jax.vmap(root))(h, last) for h, last in pairs)


ROWS = (
    Baseline(
        id="distributed_shampoo",
        name="Distributed Shampoo",
        factory=distributed_shampoo,
        group="matrix_preconditioned",
        title="Scalable Second Order Optimization for Deep Learning",
        authors="Anil et al.",
        year=2020,
        arxiv="2002.09018",
        needs=("params", "matrix_axes"),
        test={"b2": 0.9, "ridge": 1e-2, "block_size": 3, "start": 2, "period": 2},
        test_rate=0.01,
        tuning=tuned(0.03),
        deviations=(
            "One momentum goes on from the grafted method's steps to Shampoo's; the authors' code "
            "keeps one for each. Blocks share a device; nothing is asynchronous."
        ),
        checked=("equations",),
    ),
)
