"""AdamP, which takes out of a step what only makes a scale-invariant weight longer."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.sums import scalar_dtype


def adamp(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    delta: float = 0.1,
    wd_ratio: float = 0.1,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """AdamP: Adam without the radial part of its steps on weights that look scale-invariant.

    A matrix looks scale-invariant by its rows if |cos(g_i, w_i)| < delta / sqrt(columns) for every
    row i, or else as a whole, if |cos(g, w)| < delta / sqrt(size):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        p = m_hat / (sqrt(v_hat) + eps)
        if scale-invariant, for each row or for the whole, with n = w / (|w| + eps):
            p <- p - (n . p) n
        w <- w - lr p - lr weight_decay (wd_ratio if scale-invariant, else 1) w

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to denominators.
      weight_decay: decoupled, multiplied by the learning rate.
      delta: how nearly orthogonal to the weights the gradient of a scale-invariant one is.
      wd_ratio: what remains of the weight decay of a scale-invariant weight.
      matrix_axes: parameters -> which axes are rows (outputs, channels) and columns; others are
        not scale-invariant.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adamp(1e-3, weight_decay=0.01)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Heo et al., "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant
      Weights", 2020, arXiv:2006.08217; clovaai/AdamP.

    Deviations:
      Embeddings and heads are not projected by default; the authors' code tests every parameter of
      two axes or more.
    """
    return on_scale_invariant(
        optax.scale_by_adam(b1, b2, eps),
        learning_rate,
        weight_decay=weight_decay,
        delta=delta,
        wd_ratio=wd_ratio,
        eps=eps,
        matrix_axes=matrix_axes,
    )


def on_scale_invariant(
    direction: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Any,
    delta: Any,
    wd_ratio: Any,
    eps: Any,
    matrix_axes: AxesOf,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of a direction that is projected on matrices and left alone elsewhere.

    Args:
      direction: without its learning rate, on any parameters.
      learning_rate: a number, a scalar array or a schedule.
      weight_decay: decoupled, multiplied by the learning rate.
      delta: see `adamp`, like the others.
      wd_ratio: see `adamp`.
      eps: see `adamp`.
      matrix_axes: see `adamp`.
    """
    projected = _projected(direction, weight_decay, delta, wd_ratio, eps)
    plain = optax.chain(direction, optax.add_decayed_weights(weight_decay))
    step = optax.scale_by_learning_rate(learning_rate)
    return on_matrices(optax.chain(projected, step), optax.chain(plain, step), matrix_axes)


def _projected(
    direction: optax.GradientTransformation, weight_decay: Any, delta: Any, wd_ratio: Any, eps: Any
) -> optax.GradientTransformation:
    """A direction with its projection and weight decay, on tuples of matrices."""

    def project(w: jax.Array, g: jax.Array, p: jax.Array) -> jax.Array:
        dtype = w.dtype
        w, g, p = (a.astype(scalar_dtype(a)) for a in (w, g, p))
        by_rows = jnp.max(_cosines(w, g, eps, 1)) < delta / math.sqrt(w.shape[1])
        as_whole = jnp.max(_cosines(w, g, eps, None)) < delta / math.sqrt(w.size)
        tangential = jnp.where(by_rows, _tangential(w, p, eps, 1), _tangential(w, p, eps, None))
        invariant = by_rows | as_whole
        decay = weight_decay * jnp.where(invariant, wd_ratio, 1)
        return (jnp.where(invariant, tangential, p) + decay * w).astype(dtype)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        params = require_params(params, "a projection of steps")
        steps, state = direction.update(updates, state, params)
        return jax.tree.map(project, params, updates, steps), state

    return optax.GradientTransformation(direction.init, update)


def _cosines(w: jax.Array, g: jax.Array, eps: Any, axis: int | None) -> jax.Array:
    """|cos| of weights and gradients, of each row (axis 1) or of the whole (axis None)."""
    lengths = [jnp.maximum(_length(a, axis), eps) for a in (w, g)]
    return jnp.abs(jnp.sum(w * g, axis, keepdims=True)) / (lengths[0] * lengths[1])


def _tangential(w: jax.Array, p: jax.Array, eps: Any, axis: int | None) -> jax.Array:
    """What is left of p without its part along w, of each row or of the whole."""
    n = w / (_length(w, axis) + eps)
    return p - n * jnp.sum(n * p, axis, keepdims=True)


def _length(a: jax.Array, axis: int | None) -> jax.Array:
    return jnp.sqrt(jnp.sum(a**2, axis, keepdims=True))


ROWS = (
    Baseline(
        id="adamp",
        name="AdamP",
        factory=adamp,
        group="adaptive",
        title=(
            "AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights"
        ),
        authors="Heo et al.",
        year=2020,
        arxiv="2006.08217",
        needs=("params", "matrix_axes"),
        test={"weight_decay": 0.01, "delta": 0.5},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "Embeddings and heads are not projected by default; the authors' code tests every "
            "parameter of two axes or more."
        ),
        checked=("adamp 0.3.0", "pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
