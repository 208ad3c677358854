"""Magnitude-direction decoupling: matrices on a sphere, their magnitudes learned apart."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes, flax_axes
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import to_norm

RAW_ONE = math.log(math.expm1(1.0))
"""softplus(RAW_ONE) = 1."""

DEVIATIONS = (
    "The authors' code was not available: that gains start at one and the sphere has the first "
    "weights' norm is taken from other implementations of the paper's algorithm 2. Embeddings and "
    "heads, whose rows the paper keeps at norm one, are left to the inner optimizer."
)


class Gains(NamedTuple):
    """Of one matrix: raw gains, before softplus, with the axes of the weight.

    Attributes:
      rows: 1 wherever the weight has columns.
      columns: 1 wherever the weight has rows.
    """

    rows: jax.Array
    columns: jax.Array


class MdDecouplingState(NamedTuple):
    """State of `md_decoupling`.

    Attributes:
      inner: the inner optimizer's state, over directions instead of matrices.
      gains: Adam's state, over `raw`.
      raw: `Gains` of each matrix, in the order of the tree's leaves; None for what is no matrix.
      radius: norm of each matrix at the start; None for what is no matrix.
    """

    inner: optax.OptState
    gains: optax.OptState
    raw: Any
    radius: Any


def md_decoupling(
    inner: optax.GradientTransformation,
    gain_learning_rate: optax.ScalarOrSchedule = 1e-3,
    *,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Decouples the magnitude of matrices from their direction, around any optimizer.

    A matrix is W = diag(r) D diag(c), with gains r = softplus(r'), c = softplus(c') that start at
    one, and a direction D of constant norm ||W_0||_F:

        D = W / (r c^T)
        D <- D + inner's update for the gradient (r c^T) * G
        D <- ||W_0||_F D / ||D||_F
        r', c' <- Adam for the gradients of r', c'
        W <- diag(r) D diag(c)

    Args:
      inner: the optimizer of directions, and of everything that is no matrix. Without weight decay,
        which the sphere makes needless.
      gain_learning_rate: of the gains; a number, a scalar array or a schedule.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = md_decoupling(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Hägele et al., "Improving Neural Network Training by Decoupling the Magnitude and Direction
      of Weight Vectors", 2026, arXiv:2606.25971.

    Deviations:
      The authors' code was not available: that gains start at one and the sphere has the first
      weights' norm is taken from other implementations of the paper's algorithm 2. Embeddings and
      heads, whose rows the paper keeps at norm one, are left to the inner optimizer. A matrix of
      zeros has the sphere of norm sqrt(rows).
    """
    inner = optax.with_extra_args_support(inner)
    adam = optax.adam(gain_learning_rate)

    def init(params: optax.Params) -> MdDecouplingState:
        leaves, axes = _leaves(params, matrix_axes)
        pairs = list(zip(axes, leaves, strict=True))
        raw: Any = [None if a is None else _first_gains(w, a) for a, w in pairs]
        radius = [None if a is None else _first_radius(w, a) for a, w in pairs]
        # The gains are one: directions are the weights.
        return MdDecouplingState(inner.init(params), adam.init(raw), raw, radius)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, MdDecouplingState]:
        params = require_params(params, "md_decoupling")
        weights, axes = _leaves(params, matrix_axes)
        treedef = jax.tree.structure(params)
        gradients = treedef.flatten_up_to(updates)
        scales = [None if raw is None else _gain(raw) for raw in state.raw]

        def scaled(array: jax.Array, scale: Any, power: int) -> jax.Array:
            return array if scale is None else (array * scale**power).astype(array.dtype)

        directions = list(map(scaled, weights, scales, [-1] * len(weights)))
        pulled = list(map(scaled, gradients, scales, [1] * len(weights)))
        steps, ours = inner.update(
            jax.tree.unflatten(treedef, pulled),
            state.inner,
            jax.tree.unflatten(treedef, directions),
            **extra_args,
        )

        raw_gradients: Any = [
            None if raw is None else _gain_gradients(raw, d, g)
            for raw, d, g in zip(state.raw, directions, gradients, strict=True)
        ]
        moves, theirs = adam.update(raw_gradients, state.gains)
        raw: Any = optax.apply_updates(state.raw, moves)

        def whole(w: Any, d: Any, step: Any, raw: Any, radius: Any, axes: Any) -> jax.Array:
            if raw is None:
                return step
            direction = to_norm(d + step, radius, axes.rows + axes.columns)
            return (_gain(raw) * direction - w).astype(w.dtype)

        new = map(whole, weights, directions, treedef.flatten_up_to(steps), raw, state.radius, axes)
        return (
            jax.tree.unflatten(treedef, list(new)),
            MdDecouplingState(ours, theirs, raw, state.radius),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _leaves(params: Any, matrix_axes: AxesOf) -> tuple[list[Any], list[Any]]:
    """The parameters, and the axes of each as matrices."""
    leaves, treedef = jax.tree.flatten(params)
    return leaves, treedef.flatten_up_to(matrix_axes(params))


def _first_gains(w: jax.Array, axes: MatrixAxes) -> Gains:
    dtype = jnp.promote_types(w.dtype, jnp.float32)

    def ones(over: tuple[int, ...]) -> jax.Array:
        over = tuple(a % w.ndim for a in over)
        shape = tuple(1 if a in over else size for a, size in enumerate(w.shape))
        return jnp.full(shape, RAW_ONE, dtype)

    return Gains(ones(axes.columns), ones(axes.rows))


def _first_radius(w: jax.Array, axes: MatrixAxes) -> jax.Array:
    over = axes.rows + axes.columns
    norm = jnp.sqrt(jnp.sum(jnp.square(w), axis=over, keepdims=True))
    rows = math.prod(w.shape[a] for a in axes.rows)
    return jnp.where(norm > 0, norm, rows**0.5).astype(w.dtype)


def _gain(raw: Gains) -> jax.Array:
    return jax.nn.softplus(raw.rows) * jax.nn.softplus(raw.columns)


def _gain_gradients(raw: Gains, direction: jax.Array, gradient: jax.Array) -> Gains:
    """Of the raw gains: the gradient of <gain * direction, gradient>."""
    weighed = (direction * gradient).astype(raw.rows.dtype)
    return jax.grad(lambda raw: jnp.sum(_gain(raw) * weighed))(raw)


ROWS = (
    Baseline(
        id="md_decoupling",
        name="Magnitude-direction decoupling",
        factory=md_decoupling,
        kind="wrapper",
        group="wrapper",
        title="Improving Neural Network Training by Decoupling the Magnitude and Direction of "
        "Weight Vectors",
        authors="Hägele et al.",
        year=2026,
        arxiv="2606.25971",
        needs=("params", "matrix_axes"),
        test={"gain_learning_rate": 0.05},
        test_rate=0.05,
        tuning=tuned(0.3, gain_learning_rate=(1e-4, 1e-1)),
        deviations=f"{DEVIATIONS} A matrix of zeros has the sphere of norm sqrt(rows).",
        checked=("equations",),
    ),
)
