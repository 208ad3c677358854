"""Descent in the metric that the graph of the loss inherits from the space around it."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_value
from metaopt.baselines.shared.sums import inner, scalar_dtype
from metaopt.baselines.shared.trees import zeros_like

Variant = Literal["rms", "sgd", "log"]


class InducedMetricState(NamedTuple):
    """State of `scale_by_induced_metric`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters.
      v: moving average of squared gradients, a tree like the parameters; of the variant rms only.
      metric: (), moving average of xi g^T D^-1 g.
    """

    count: Any
    m: optax.Updates
    v: Any
    metric: jax.Array


def scale_by_induced_metric(
    b1: float = 0.9,
    b2: float = 0.99,
    b3: float = 0.8,
    eps: float = 1e-8,
    *,
    xi: float = 0.1,
    variant: Variant = "rms",
) -> optax.GradientTransformationExtraArgs:
    """Rescale momentum by the inverse of the induced metric; see `induced_metric`.

    Raises:
      ValueError: there is no such variant.
    """
    if variant not in ("rms", "sgd", "log"):
        raise ValueError(f"induced_metric has no variant {variant!r}: take 'rms', 'sgd' or 'log'")

    def init(params: optax.Params) -> InducedMetricState:
        m, v = zeros_like(params, 2)
        metric = jnp.zeros((), scalar_dtype(params))
        v = v if variant == "rms" else ()
        return InducedMetricState(jnp.zeros((), jnp.int32), m, v, metric)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, InducedMetricState]:
        del params
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        m_hat = optax.tree.bias_correction(m, b1, count)
        v, preconditioned, m_preconditioned = state.v, updates, m_hat
        if variant == "rms":
            v = optax.tree.update_moment(updates, state.v, b2, 2)
            v_hat = optax.tree.bias_correction(v, b2, count)
            d = jax.tree.map(lambda v: jnp.sqrt(v) + eps, v_hat)
            preconditioned = optax.tree.div(updates, d)
            m_preconditioned = optax.tree.div(m_hat, d)

        square = xi * inner(updates, preconditioned)
        metric = (b3 * state.metric + (1 - b3) * square).astype(state.metric.dtype)
        metric_hat = optax.tree.bias_correction(metric, b3, count)
        if variant == "log":
            loss = require_value(extra_args.get("value"), "induced_metric's variant log")
            tiny = jnp.finfo(metric_hat.dtype).tiny
            scale = loss / jnp.maximum(loss**2 + metric_hat, tiny)
        else:
            scale = 1 / (1 + metric_hat)
        u = jax.tree.map(lambda m: (scale * m).astype(m.dtype), m_preconditioned)
        return u, InducedMetricState(count, m, v, metric)

    return optax.GradientTransformationExtraArgs(init, update)


def induced_metric(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    b3: float = 0.8,
    eps: float = 1e-8,
    *,
    xi: float = 0.1,
    weight_decay: float = 0.0,
    variant: Variant = "rms",
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent on the graph of the loss: shorter steps where the loss is steep.

    The graph's metric is D + xi g g^T. Its inverse times g is D^-1 g / (1 + xi g^T D^-1 g). With
    averages, and hats for division by 1 - b^t:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        D = sqrt(v_hat) + eps in the variant rms, 1 in sgd and log
        q <- b3 q + (1 - b3) xi sum(g^2 / D)
        s = 1 / (1 + q_hat) in rms and sgd, loss / (loss^2 + q_hat) in log
        w <- w - lr (s m_hat / D + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares, in the variant rms.
      b3: decay of the metric's average.
      eps: added to the root, in the variant rms.
      xi: weight of the direction of the loss in the space around the graph.
      weight_decay: decoupled, multiplied by the learning rate.
      variant: `rms`, preconditioned as RMSProp is; `sgd`, the plain one; `log`, plain on the graph
        of the loss's logarithm.

    Returns:
      The transformation. Its update needs the parameters, and in the variant log the loss, as
      `value=loss`.

    Raises:
      ValueError: there is no such variant.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = induced_metric(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Harvey, "The Optimiser Hidden in Plain Sight: Training with the Loss Landscape's Induced
      Metric", 2025, arXiv:2509.03594; harveyThomas4692/Induced-Metric-Optimiser.
    """
    return optax.chain(
        scale_by_induced_metric(b1, b2, b3, eps, xi=xi, variant=variant),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="induced_metric",
        name="Induced-metric optimiser",
        factory=induced_metric,
        group="riemannian",
        title="The Optimiser Hidden in Plain Sight: Training with the Loss Landscape's Induced "
        "Metric",
        authors="Harvey",
        year=2025,
        arxiv="2509.03594",
        needs=("params",),
        test={"xi": 0.01, "weight_decay": 0.02},
        tuning=tuned(0.3, xi=(1e-5, 1e-2), weight_decay=(1e-4, 1.0)),
        checked=("equations",),
    ),
)
