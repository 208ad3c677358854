"""SGD-SaI, which fixes each array's learning rate by its first gradient."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import scalar_dtype


class ScaleBySaIState(NamedTuple):
    """State of `scale_by_sai`.

    Attributes:
      count: int32 (), steps taken.
      gsnr: the first gradients' signal-to-noise ratios, () for every array.
      m: moving average of gradients, a tree like the parameters.
    """

    count: Any
    gsnr: Any
    m: optax.Updates


def scale_by_sai(momentum: float = 0.9, eps: float = 1e-8) -> optax.GradientTransformationExtraArgs:
    """The direction of `sgd_sai`."""

    def ratio(g: jax.Array) -> jax.Array:
        g = g.astype(scalar_dtype(g))
        norm = jnp.sqrt(jnp.sum(g**2))
        if g.size < 2:
            return norm
        deviation = jnp.std(g, ddof=1)
        return jnp.where(deviation > 0, norm / (deviation + eps), norm)

    def init(params: optax.Params) -> ScaleBySaIState:
        return ScaleBySaIState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(lambda w: jnp.zeros((), scalar_dtype(w)), params),
            optax.tree.zeros_like(params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleBySaIState]:
        del params, extra_args
        first = state.count == 0
        gsnr = jax.lax.cond(first, lambda: jax.tree.map(ratio, updates), lambda: state.gsnr)
        m = optax.tree.update_moment(updates, state.m, momentum, 1)
        m = optax.tree.where(first, updates, m)
        direction = jax.tree.map(lambda s, m: (s * m).astype(m.dtype), gsnr, m)
        return direction, ScaleBySaIState(optax.safe_increment(state.count), gsnr, m)

    return optax.GradientTransformationExtraArgs(init, update)


def sgd_sai(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
) -> optax.GradientTransformationExtraArgs:
    """SGD-SaI: SGD with momentum, with learning rates scaled at initialization.

    For every array, from m = g_1, with the unbiased deviation std:

        gsnr = |g_1| / (std(g_1) + eps)
        m <- momentum m + (1 - momentum) g
        w <- w - lr (gsnr m + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the gradient's average.
      eps: added to the deviation.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sgd_sai(1e-2)
      >>> params = {"kernel": jnp.arange(6.0).reshape(2, 3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Xu et al., "No More Adam: Learning Rate Scaling at Initialization is All You Need", 2024,
      arXiv:2412.11768; AnonymousAlethiometer/SGD_SaI.

    Deviations:
      A first gradient without deviation, such as a scalar's, has its norm for a ratio; the authors'
      code divides it by eps.
    """
    return optax.chain(
        scale_by_sai(momentum, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="sgd_sai",
        name="SGD-SaI",
        factory=sgd_sai,
        group="first_order",
        title="No More Adam: Learning Rate Scaling at Initialization is All You Need",
        authors="Xu et al.",
        year=2024,
        arxiv="2412.11768",
        needs=("params",),
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        deviations="A first gradient without deviation, such as a scalar's, has its norm for a "
        "ratio; the authors' code divides it by eps.",
        checked=("sgd_sai 1.0.3",),
    ),
)
