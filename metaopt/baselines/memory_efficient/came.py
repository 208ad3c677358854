"""CAME, Adafactor with momentum that trusts itself less where it was wrong."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared import factored
from metaopt.baselines.shared.trees import on_leaves


class CAMEState(NamedTuple):
    """State of `scale_by_came`.

    Attributes:
      m: moving average of the clipped directions, a tree like the parameters.
      v: moving average of squared gradients; for each parameter `factored.Factors` or an array.
      s: that of the instability, likewise; an array stays at zero.
    """

    m: optax.Updates
    v: Any
    s: Any


def scale_by_came(
    b1: float, b2: float, b3: float, eps: float, eps2: float, clip_threshold: float
) -> optax.GradientTransformationExtraArgs:
    """The direction of `came`."""

    def init(params: optax.Params) -> CAMEState:
        v, s = (jax.tree.map(factored.zeros, params) for _ in range(2))
        return CAMEState(optax.tree.zeros_like(params), v, s)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, CAMEState]:
        del params, extra_args
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
        m = optax.tree.cast_like(optax.tree.update_moment(u, state.m, b1, 1), state.m)

        def instability(u: jax.Array, m: jax.Array, s: Any) -> Any:
            if not isinstance(s, factored.Factors):
                return s
            return factored.average(jnp.square(u - m) + eps2, s, b3)

        def direction(m: jax.Array, s: Any) -> jax.Array:
            return m * factored.inverse_root(s) if isinstance(s, factored.Factors) else m

        s = jax.tree.map(instability, u, m, state.s)
        return jax.tree.map(direction, m, s), CAMEState(m, v, s)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def came(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    eps: float = 1e-30,
    *,
    eps2: float = 1e-16,
    clip_threshold: float = 1.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """CAME: the more a direction differs from its average, the smaller the step.

    V and S are kept as the means of their rows and columns, as in Adafactor:

        V <- b2 V + (1 - b2) (g^2 + eps)
        u = g / sqrt(V)
        u = u / max(1, rms(u) / clip_threshold)
        m <- b1 m + (1 - b1) u
        S <- b3 S + (1 - b3) ((u - m)^2 + eps2)
        w <- w - lr (m / sqrt(S) + weight_decay w)

    What is no matrix has a full V and steps along m.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the directions' average.
      b2: decay of the squared gradient's average.
      b3: decay of the instability's average.
      eps: added to the squared gradient.
      eps2: added to the instability.
      clip_threshold: root mean square that no direction exceeds.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = came(2e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Luo et al., "CAME: Confidence-guided Adaptive Memory Efficient Optimization", 2023,
      arXiv:2307.02047; yangluo7/CAME.
    """
    return optax.chain(
        scale_by_came(b1, b2, b3, eps, eps2, clip_threshold),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="came",
        name="CAME",
        factory=came,
        group="memory_efficient",
        title="CAME: Confidence-guided Adaptive Memory Efficient Optimization",
        authors="Luo et al.",
        year=2023,
        arxiv="2307.02047",
        needs=("params",),
        test={"weight_decay": 0.02},
        test_rate=0.003,
        tuning=tuned(0.03, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + 2 * (m + n)),
        checked=("came_pytorch 0.1.3", "pytorch_optimizer 4.1.0"),
    ),
)
