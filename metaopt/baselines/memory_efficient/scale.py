"""SCALE, SGD with normalized columns and momentum in the last layer alone."""

from typing import Any

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes, flax_axes, on_matrices
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.roles import RolesOf, flax_roles


def flax_axes_everywhere(params: optax.Params) -> Any:
    """Matrices of embeddings and heads, too: of these the last axis is rows, all others columns."""

    def axes(role: str, leaf: Any) -> MatrixAxes | None:
        last = leaf.ndim - 1
        if role in ("embedding", "head"):
            return MatrixAxes((last,), tuple(range(last)))
        return None

    treedef = jax.tree.structure(params)
    known = treedef.flatten_up_to(flax_axes(params))
    others = treedef.flatten_up_to(jax.tree.map(axes, flax_roles(params), params))
    return jax.tree.unflatten(
        treedef, [b if a is None else a for a, b in zip(known, others, strict=True)]
    )


def scale(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes_everywhere,
) -> optax.GradientTransformationExtraArgs:
    """SCALE: stochastic column-normalized last-layer momentum, with no state but the last layer's.

    For every weight w_i of the inputs to one output, over d inputs:

        w_i <- (1 - lr weight_decay) w_i - lr g_i / sqrt(|g_i|^2 / d)

    where in the last layer g is a moving average, M <- momentum M + (1 - momentum) G.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the last layer's average.
      weight_decay: decoupled, multiplied by the learning rate.
      fallback: the optimizer of vectors and scalars; default: AdamW at `learning_rate`.
      roles: parameters -> what each is; the last layer is what has the role `head`.
      matrix_axes: parameters -> which axes of each are rows (outputs) and columns (inputs), None
        for the fallback. Embeddings are normalized over their tokens, as in the authors' code:
        of these, features are rows.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = scale(1e-3)
      >>> params = {"dense": {"kernel": jnp.eye(2, 3)}, "head": {"kernel": jnp.eye(3, 2)}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Glentis et al., "A Minimalist Optimizer Design for LLM Pretraining", 2025, arXiv:2506.16659;
      OptimAI-Lab/Minimalist_LLM_Pretraining.
    """
    if fallback is None:
        fallback = optax.adamw(learning_rate, weight_decay=weight_decay)

    def labels(params: optax.Params) -> Any:
        treedef = jax.tree.structure(params)
        kinds = zip(
            treedef.flatten_up_to(roles(params)),
            treedef.flatten_up_to(matrix_axes(params)),
            strict=True,
        )
        return jax.tree.unflatten(treedef, [_label(*kind) for kind in kinds])

    step = optax.chain(
        on_matrices(normalize_rows(), optax.identity(), matrix_axes),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    return optax.partition(
        {
            "matrix": step,
            "head": optax.chain(optax.ema(momentum, debias=False), step),
            "other": fallback,
        },
        labels,
    )


def normalize_rows() -> optax.GradientTransformation:
    """Rows of root mean square 1, of a tuple of matrices."""

    def row_wise(g: jax.Array) -> jax.Array:
        # As in the authors' code, the least root mean square that is divided by is 1e-8.
        size = g.shape[1] ** 0.5
        return to_norm(g, size, axis=1, eps=1e-8 * size)

    return optax.stateless(lambda updates, params: jax.tree.map(row_wise, updates))


def _label(role: str, axes: MatrixAxes | None) -> str:
    if axes is None:
        return "other"
    return "head" if role == "head" else "matrix"


ROWS = (
    Baseline(
        id="scale",
        name="SCALE",
        factory=scale,
        group="memory_efficient",
        title="A Minimalist Optimizer Design for LLM Pretraining",
        authors="Glentis et al.",
        year=2025,
        arxiv="2506.16659",
        needs=("params", "roles", "matrix_axes"),
        test={"weight_decay": 0.02},
        test_rate=0.1,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 0,
        checked=("equations",),
    ),
)
