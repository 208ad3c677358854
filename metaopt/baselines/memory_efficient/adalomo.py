"""AdaLomo, whose only memory are the row and column means of squared gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared import factored
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import rms
from metaopt.baselines.shared.trees import on_leaves


class AdaLomoState(NamedTuple):
    """State of `adalomo`.

    Attributes:
      count: int32 (), steps taken.
      v: moving average of squared gradients; for each parameter `factored.Factors` or an array.
    """

    count: Any
    v: Any


def scale_by_adalomo(
    decay_rate: float, eps: float, clip_threshold: float
) -> optax.GradientTransformationExtraArgs:
    """The direction of `adalomo`, before it is scaled by the parameters."""

    def init(params: optax.Params) -> AdaLomoState:
        return AdaLomoState(jnp.zeros((), jnp.int32), jax.tree.map(factored.zeros, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdaLomoState]:
        del params, extra_args
        count = optax.safe_increment(state.count)
        b2 = 1 - jnp.asarray(count, jnp.result_type(float)) ** -decay_rate
        v = jax.tree.map(
            lambda g, v: factored.average(jnp.square(g) + eps, v, b2), updates, state.v
        )
        u = jax.tree.map(
            lambda g, v: factored.clip_root_mean_square(
                g * factored.inverse_root(v), clip_threshold
            ),
            updates,
            v,
        )
        return u, AdaLomoState(count, v)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def adalomo(
    learning_rate: optax.ScalarOrSchedule,
    *,
    decay_rate: float = 0.8,
    eps: float = 1e-30,
    min_scale: float = 1e-3,
    clip_threshold: float = 1.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """AdaLomo: low-memory optimization with adaptive learning rates.

    V is kept as the means of its rows and columns, as in Adafactor. With b2_t = 1 - t^-decay_rate:

        V <- b2_t V + (1 - b2_t) (g^2 + eps)
        u = g / sqrt(V)
        u = u / max(1, rms(u) / clip_threshold)
        w <- w - lr max(min_scale, rms(w)) (u + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule; relative to the parameters.
      decay_rate: how fast b2_t approaches 1.
      eps: added to the squared gradient.
      min_scale: the least that the learning rate is multiplied by.
      clip_threshold: root mean square that no direction exceeds.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adalomo(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Lv et al., "AdaLomo: Low-memory Optimization with Adaptive Learning Rate", 2023,
      arXiv:2310.10195; OpenLMLab/LOMO.

    Deviations:
      The paper updates each parameter within the backward pass, as soon as it has its gradient.
      Under `jax.jit` that is the compiler's business; the updates are the same.
    """

    def relative(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        def leaf(u: jax.Array, w: jax.Array) -> jax.Array:
            scale = jnp.maximum(min_scale, rms(w))
            return (scale * (u + weight_decay * w)).astype(w.dtype)

        return jax.tree.map(leaf, updates, require_params(params, "adalomo"))

    return optax.chain(
        scale_by_adalomo(decay_rate, eps, clip_threshold),
        optax.stateless(relative),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="adalomo",
        name="AdaLomo",
        factory=adalomo,
        group="memory_efficient",
        title="AdaLomo: Low-memory Optimization with Adaptive Learning Rate",
        authors="Lv et al.",
        year=2023,
        arxiv="2310.10195",
        needs=("params",),
        test={"weight_decay": 0.02},
        test_rate=0.05,
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m + n),
        deviations=(
            "The paper updates each parameter within the backward pass, as soon as it has its "
            "gradient. Under `jax.jit` that is the compiler's business; the updates are the same."
        ),
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
