"""ScaledAdam, whose steps are relative to each parameter's size, and which learns that size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.norms import rms
from metaopt.baselines.shared.periods import require_period
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import on_leaves, unzipped, zeros_like

_DEVIATIONS = (
    "The clipping by the median gradient norm, off by default in the authors' code, is left to "
    "the chain."
)


class ArrayState(NamedTuple):
    """What `scaled_adam` remembers of one array.

    Attributes:
      v: moving average of squared gradients, like the array.
      step: moving average of steps, like the array.
      size: (), RMS of the array when last measured.
      size_gradients: (period,), gradients of the loss by the logarithm of its size.
      size_v: (), moving average of their squares.
    """

    v: jax.Array
    step: jax.Array
    size: jax.Array
    size_gradients: jax.Array
    size_v: jax.Array


class ScaledAdamState(NamedTuple):
    """State of `scaled_adam`.

    Attributes:
      count: int32 (), steps taken.
      arrays: a tree like the parameters with an `ArrayState` for each.
    """

    count: Any
    arrays: Any


def scaled_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.98,
    eps: float = 1e-8,
    *,
    size_rate: float = 0.1,
    min_size: float = 1e-5,
    max_size: float = 3.0,
    max_scalar: float = 10.0,
    period: int = 4,
) -> optax.GradientTransformationExtraArgs:
    """ScaledAdam: Adam in units of each array's RMS, which itself is learned in logarithm.

    For each array, with RMS(w) measured every `period` steps and v_hat = v / (1 - b2^t) until
    1 - b2^t reaches 0.99, v from then on:

        v <- b2 v + (1 - b2) g^2
        d = -lr max(RMS(w), min_size) g / (sqrt(v_hat) + eps)
        h_t = sum(w g)
        every `period` steps, with H the sum of the last `period` h, B = b2^period, k the number of
        periods:
            V <- B V + (1 - B) mean of the last h^2
            s = -size_rate lr sqrt(1 - B^k) H / (sqrt(V) + eps), in [-0.1, 0.1], and at most
                (max_size - RMS(w)) / RMS(w); 0 where RMS(w) < min_size
            d <- d + s w
        p <- b1 p + (1 - b1) d
        w <- w + p

    Parameters of a single entry have steps d = -size_rate lr g / (sqrt(v_hat) + eps) instead, and
    stay within max_scalar of zero.

    Args:
      learning_rate: a number, a scalar array or a schedule; relative to the arrays' sizes, 0.03 or
        so, which the authors use with the Eden schedule.
      b1: decay of the steps' average, which is not debiased.
      b2: decay of the average of squares.
      eps: added to the denominators.
      size_rate: learning rate of sizes and of scalars, relative to that of everything else.
      min_size: what is smaller neither slows down any more nor has its size learned.
      max_size: to which sizes are learned to grow.
      max_scalar: bound of scalars.
      period: steps from one update of the sizes to the next.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the period is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = scaled_adam(0.03)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Yao et al., "Zipformer: A faster and better encoder for automatic speech recognition", 2023,
      arXiv:2310.11230; k2-fsa/icefall.

    Deviations:
      The clipping by the median gradient norm, off by default in the authors' code, is left to
      the chain.
    """
    require_period(period, "scaled_adam")

    def init(params: optax.Params) -> ScaledAdamState:
        def fresh(w: jax.Array) -> ArrayState:
            zero = jnp.zeros((), w.dtype)
            v, step = zeros_like(w, 2)
            return ArrayState(v, step, rms(w), jnp.zeros(period, w.dtype), zero)

        return ScaledAdamState(jnp.zeros((), jnp.int32), jax.tree.map(fresh, params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaledAdamState]:
        del extra_args
        params = require_params(params, "scaled_adam")
        count = state.count
        rate = rate_at(learning_rate, count)
        debias = 1 - jnp.asarray(b2) ** (count + 1)
        # Where it no longer matters, the authors spare themselves the division.
        debias = jnp.where(debias < 0.99, debias, 1)
        ends = count % period == period - 1

        def resized(s: ArrayState) -> tuple[jax.Array, jax.Array]:
            """The step of an array's logarithmic size, and V."""
            decay = jnp.asarray(b2) ** period
            v = decay * s.size_v + (1 - decay) * jnp.mean(s.size_gradients**2)
            warm = jnp.sqrt(1 - decay ** ((count + 1) // period))
            change = -size_rate * rate * warm * jnp.sum(s.size_gradients) / (jnp.sqrt(v) + eps)
            change = jnp.where(s.size < min_size, 0, jnp.clip(change, -0.1, 0.1))
            change = jnp.minimum(change, (max_size - s.size) / s.size)
            # There is no size to learn before the second step, even with a period of one.
            now = ends & (count > 0)
            return jnp.where(now, change, 0), jnp.where(now, v, s.size_v)

        def step(g: jax.Array, w: jax.Array, s: ArrayState) -> tuple[jax.Array, ArrayState]:
            v = b2 * s.v + (1 - b2) * g**2
            d = -rate * g / (jnp.sqrt(v / debias) + eps)
            if w.size == 1:
                p = b1 * s.step + (1 - b1) * size_rate * d
                s = s._replace(v=v, step=p)
                p = jnp.clip(w + p, -max_scalar, max_scalar) - w
            else:
                s = s._replace(
                    v=v,
                    size=jnp.where(ends, rms(w), s.size),
                    size_gradients=s.size_gradients.at[count % period].set(jnp.sum(w * g)),
                )
                change, size_v = resized(s)
                d = d * jnp.maximum(s.size, min_size) + change * w
                p = b1 * s.step + (1 - b1) * d
                s = s._replace(step=p, size_v=size_v)
            s = jax.tree.map(lambda x: x.astype(w.dtype), s)
            return p.astype(w.dtype), s

        pairs = jax.tree.map(step, updates, params, state.arrays)
        steps, arrays = unzipped(updates, pairs, 2)
        return steps, ScaledAdamState(optax.safe_increment(count), arrays)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


ROWS = (
    Baseline(
        id="scaled_adam",
        name="ScaledAdam",
        factory=scaled_adam,
        group="adaptive",
        title="Zipformer: A faster and better encoder for automatic speech recognition",
        authors="Yao et al.",
        year=2023,
        arxiv="2310.11230",
        needs=("params",),
        test={"period": 2},
        test_rate=0.1,
        tuning=tuned(1.0),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
)
