"""Scion, conditional gradient steps in a norm for each kind of layer."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import orthogonalize
from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes, flax_axes, on_matrices
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles


def scion(
    learning_rate: optax.ScalarOrSchedule,
    alpha: float = 0.1,
    *,
    radius: float = 50.0,
    end_radius: float = 3000.0,
    unconstrained: bool = False,
    steps: int = 5,
    eps: float = 1e-7,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Scion: steps towards the corner of a norm ball that the averaged gradient points at.

    With U V^T the orthogonal factor of D by Muon's Newton-Schulz iterations, of m outputs and n
    inputs (channels, of a convolution of k positions):

        D <- (1 - alpha) D + alpha G
        hidden matrices:  X = radius sqrt(m / n) / k U V^T
        embeddings:       X_i = end_radius D_i / rms(D_i)        for each token i
        heads:            X = end_radius sign(D) / n
        vectors:          X = radius D / rms(D)
        W <- (1 - lr) W - lr X        (W <- W - lr X if unconstrained)

    Args:
      learning_rate: a number, a scalar array or a schedule, below one if constrained.
      alpha: weight of the new gradient, one minus the usual momentum.
      radius: of the ball for hidden matrices and vectors.
      end_radius: of the ball for embeddings and heads. The defaults are the authors' for GPT; small
        networks need less.
      unconstrained: no pull to the ball.
      steps: of the iteration.
      eps: added to the norm that the iteration divides by.
      roles: what each parameter is; see `shared.roles`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = scion(2**-12)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Pethick et al., "Training Deep Learning Models with Norm-Constrained LMOs", 2025,
      arXiv:2502.07529; LIONS-EPFL/scion.
    """

    def corner(role: Role, axes: MatrixAxes | None, d: jax.Array) -> jax.Array:
        if axes is not None:
            return radius * _hidden_factor(d.shape, axes, role) * d
        if role == "embedding":
            return end_radius * _to_unit_rms(d, -1)
        if role == "head":
            return end_radius * jnp.sign(d) * (d.shape[-1] / d.size)
        return radius * _to_unit_rms(d, None)

    def corners(updates: optax.Updates, _: object) -> optax.Updates:
        leaves, treedef = jax.tree.flatten(updates)
        of = (treedef.flatten_up_to(tree) for tree in (roles(updates), matrix_axes(updates)))
        return jax.tree.unflatten(treedef, map(corner, *of, leaves))

    return optax.with_extra_args_support(
        optax.chain(
            optax.ema(1 - alpha, debias=False),
            on_matrices(
                orthogonalize(steps=steps, eps=eps, adjust="none"), optax.identity(), matrix_axes
            ),
            optax.stateless(corners),
            optax.add_decayed_weights(0.0 if unconstrained else 1.0),
            optax.scale_by_learning_rate(learning_rate),
        )
    )


def _to_unit_rms(d: jax.Array, axis: int | None) -> jax.Array:
    """Divided by the root mean square, of all of it or along an axis."""
    count = max(d.size if axis is None else d.shape[axis], 1)
    squares = jnp.sum(jnp.square(d), axis=axis, keepdims=True)
    return d / (jnp.sqrt(squares / count) + 1e-8)


def _hidden_factor(shape: tuple[int, ...], axes: MatrixAxes, role: Role) -> float:
    """The factor sqrt(m / n) / k of a hidden matrix or convolution.

    In a kernel, of flax as of PyTorch, the input channels' axis is the one beside the outputs'; the
    others are positions.
    """
    rows, columns = (tuple(a % len(shape) for a in part) for part in axes)
    beside = [a for a in columns if any(abs(a - row) == 1 for row in rows)]
    channels = beside if role == "hidden" and len(columns) > 1 and beside else columns
    positions = [a for a in columns if a not in channels]
    m, n, k = (math.prod(shape[a] for a in part) for part in (rows, channels, positions))
    return (m / n) ** 0.5 / k


_TEST: Mapping[str, Any] = {"radius": 3.0, "end_radius": 3.0}

ROWS = (
    Baseline(
        id="scion",
        name="Scion",
        factory=scion,
        group="matrix_preconditioned",
        title="Training Deep Learning Models with Norm-Constrained LMOs",
        authors="Pethick et al.",
        year=2025,
        arxiv="2502.07529",
        needs=("params", "roles", "matrix_axes"),
        test=_TEST,
        test_rate=0.02,
        tuning=tuned(0.03),
        checked=("zij 0.1.1",),
    ),
)
