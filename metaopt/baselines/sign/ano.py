"""Ano, whose direction is the momentum's sign and whose magnitude the gradient's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import zeros_like


class ScaleByAnoState(NamedTuple):
    """State of `scale_by_ano`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, a tree like the parameters.
      v: size of squared gradients, likewise.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def scale_by_ano(
    b1: float | Callable[[jax.Array], jax.Array], b2: float = 0.99, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """The direction of `ano`.

    Args:
      b1: decay of the average of gradients, or a function of the step, 1, 2, ...
      b2: decay of the size of squares.
      eps: added to the denominator.

    Raises:
      ValueError: b2 is outside [1/2, 1).
    """
    if isinstance(b2, int | float) and not 0.5 <= b2 < 1:
        raise ValueError(f"b2 is {b2}; choose one in [1/2, 1), below which v can become negative")

    def init(params: optax.Params) -> ScaleByAnoState:
        return ScaleByAnoState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByAnoState]:
        del params, extra_args
        t: Any = optax.safe_increment(state.count)
        decay = b1(t) if callable(b1) else b1

        def average(g: jax.Array, m: jax.Array) -> jax.Array:
            return ((1 - decay) * g + decay * m).astype(m.dtype)

        def size(g: jax.Array, v: jax.Array) -> jax.Array:
            return (b2 * v - (1 - b2) * jnp.sign(v - g**2) * g**2).astype(v.dtype)

        def direction(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return jnp.abs(g) * jnp.sign(m) / (jnp.sqrt(v) + eps)

        m = jax.tree.map(average, updates, state.m)
        v = jax.tree.map(size, updates, state.v)
        v_hat = optax.tree.bias_correction(v, b2, t)
        return jax.tree.map(direction, updates, m, v_hat), ScaleByAnoState(t, m, v)

    return optax.GradientTransformationExtraArgs(init, update)


def ano(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.92,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Ano: steps as large as the gradient is now, in the direction of its average.

    With v_hat = v / (1 - b2^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v - (1 - b2) sign(v - g^2) g^2
        w <- w - lr (|g| sign(m) / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of gradients.
      b2: decay of the size of squares; at least 1/2, that v stays positive.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: b2 is outside [1/2, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = ano(1e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Kegreisz, "Ano: Faster is Better in Noisy Landscapes", 2025, arXiv:2508.18258;
      Adrienkgz/ano-experiments.

    Deviations:
      eps is added to the root, as in the paper; the authors' PyTorch code adds it under the root.
    """
    return optax.chain(
        scale_by_ano(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def anolog(
    learning_rate: optax.ScalarOrSchedule,
    b2: float = 0.99,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Anolog: Ano whose momentum sees further back as time goes by.

    With v_hat = v / (1 - b2^t):

        b1 = 1 - 1 / ln(max(2, t))
        m <- b1 m + (1 - b1) g
        v <- b2 v - (1 - b2) sign(v - g^2) g^2
        w <- w - lr (|g| sign(m) / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b2: decay of the size of squares; at least 1/2, that v stays positive.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: b2 is outside [1/2, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = anolog(1e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Kegreisz, "Ano: Faster is Better in Noisy Landscapes", 2025, arXiv:2508.18258;
      Adrienkgz/ano-experiments.

    Deviations:
      v is corrected for its bias and eps added to the root, as Ano's are in the paper; the authors'
      experiments with Anolog do not correct it, their package does.
    """

    def b1(t: jax.Array) -> jax.Array:
        return 1 - 1 / jnp.log(jnp.maximum(t, 2))

    return optax.chain(
        scale_by_ano(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="ano",
        name="Ano",
        factory=ano,
        group="sign",
        title="Ano: Faster is Better in Noisy Landscapes",
        authors="Kegreisz",
        year=2025,
        arxiv="2508.18258",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        deviations="eps is added to the root, as in the paper; the authors' PyTorch code adds it "
        "under the root.",
        checked=("pytorch_optimizer 4.1.0",),
    ),
    Baseline(
        id="anolog",
        name="Anolog",
        factory=anolog,
        group="sign",
        title="Ano: Faster is Better in Noisy Landscapes",
        authors="Kegreisz",
        year=2025,
        arxiv="2508.18258",
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        deviations="v is corrected for its bias and eps added to the root, as Ano's are in the "
        "paper; the authors' experiments with Anolog do not correct it, their package does.",
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
