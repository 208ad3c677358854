"""NN-Adam: Adam whose hyperparameters a recurrent network steers, for each tensor on its own.

The state holds a tenth of their logarithms, s = log(lr, 1 - b1, 1 - b2, eps) / 10. For each tensor,
with the gradient clipped at 1000,

  lr, 1 - b1, 1 - b2, eps = exp(10 s)
  m <- b1 m + (1 - b1) g                     no bias correction
  v <- b2 v + (1 - b2) g^2
  p <- p - lr (1 + eps) m / (eps + sqrt(v + 1e-10))
  h <- LSTM(x, h)                            x: statistics of p, g, m and v, and s; see `_seen`
  s <- clip(s + 0.01 (C h + d))              so that each stays in its range

With a small eps the step is Adam's, with a large one that of momentum: 1 + eps keeps its size, and
the network need not raise two hyperparameters together to get there. C begins at 0, so that an
untrained network leaves the hyperparameters where they start. They are part of the weights, and so
is the recurrent network's first state.

Reference: the code that came with Metz et al., "Practical tradeoffs between memory, compute, and
performance in learned optimizers", 2022 (arXiv 2203.11860).

Deviations: the code also knows a pull of the hyperparameters back to where they started, which is
off unless asked for, and is left out.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.learned import lstm
from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta, given_params
from metaopt.learned.stacks import alike, over, unzipped
from metaopt.learned.tensors import linear, mean

CONTRACT = "nn_adam/1"

FEATURES = 19
"""What the recurrent network sees of a tensor."""

_START = np.log([1e-4, 0.1, 0.001, 1e-8], dtype=np.float32) / 10
_LOWEST = np.asarray([math.log(1e-8) / 10, -1.0, -1.0, math.log(1e-11) / 10], np.float32)
_HIGHEST = np.asarray([math.log(1e3) / 10, 0.0, 0.0, math.log(1e4) / 10], np.float32)
_STEP = 0.01
_LARGEST_GRADIENT = 1000.0


class Moments(NamedTuple):
    """Moving averages of the gradient, and of its square; float32, of the tensor's shape."""

    m: jax.Array
    v: jax.Array


class NNAdamState(NamedTuple):
    """State of `nn_adam`.

    Attributes:
      logs: s of each tensor, stack after stack, float32 (tensors, 4).
      lstm: hidden state and cell of each tensor, float32 (tensors, hidden) each.
      moments: a `Moments` for each stack of parameter tensors.
    """

    logs: jax.Array
    lstm: lstm.State
    moments: Any


def nn_adam(hidden: int = 32) -> LearnedOptimizer:
    """NN-Adam, 6,856 meta-parameters by default.

    Args:
      hidden: units of the recurrent network.

    Returns:
      The learned optimizer. Bound, its state is as large as Adam's, compact or not: a steered decay
      can come close to 1, and there an average in bfloat16 would stand still.
    """

    def init(key: jax.Array) -> Theta:
        return {
            "lstm": lstm.init(key, FEATURES, hidden),
            "start": {name: jnp.zeros(hidden, jnp.float32) for name in "hc"},
            "controls": {"w": jnp.zeros((hidden, 4), jnp.float32), "b": jnp.zeros(4, jnp.float32)},
            "logs": jnp.asarray(_START),
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        del num_steps, compact

        def begin(params: optax.Params) -> NNAdamState:
            tensors = len(jax.tree.leaves(params))
            h, c = (
                jnp.broadcast_to(theta["start"][name][None], (tensors, hidden)) for name in "hc"
            )
            logs = jnp.broadcast_to(_in_range(theta["logs"][None]), (tensors, 4))
            return NNAdamState(logs, (h, c), alike(params).filled(_no_moments))

        def update(
            updates: optax.Updates, state: Any, params: Any = None, **extra: Any
        ) -> tuple[optax.Updates, NNAdamState]:
            del extra
            params = given_params(CONTRACT, params)
            if not jax.tree.leaves(params):
                return updates, state
            stacks = alike(params)

            def moved(p: jax.Array, g: jax.Array, old: Moments, logs: jax.Array) -> tuple[Any, ...]:
                rate, new1, new2, eps = jnp.exp(10.0 * logs)
                g = jnp.clip(g, -_LARGEST_GRADIENT, _LARGEST_GRADIENT)
                m = (1 - new1) * old.m + new1 * g
                v = (1 - new2) * old.v + new2 * g * g
                step = -rate * (1 + eps) * m / (eps + jnp.sqrt(v + 1e-10))
                return step, Moments(m, v), _seen(p, g, Moments(m, v), logs)

            p, g = stacks.stacked(params), stacks.stacked(updates)
            found = over(moved, p, g, state.moments, stacks.split(state.logs))
            steps, moments, seen = unzipped(found)
            h, c = lstm.apply(theta["lstm"], jnp.concatenate(seen), state.lstm)
            logs = _in_range(state.logs + _STEP * linear(theta["controls"], h))
            return stacks.unstacked(steps, updates), NNAdamState(logs, (h, c), moments)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(
        CONTRACT, {"hidden": hidden}, init, bind, frozenset({"lstm", "controls"})
    )


def _no_moments(shape: tuple[int, ...]) -> Moments:
    return Moments(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def _in_range(logs: jax.Array) -> jax.Array:
    """Rates from 1e-8 to 1e3, decays from 0 to 1 - exp(-10), eps from 1e-11 to 1e4."""
    return jnp.clip(logs, _LOWEST[None], _HIGHEST[None])


# ---------------------------------------------------------------- what the recurrent network sees


def _seen(p: jax.Array, g: jax.Array, moments: Moments, logs: jax.Array) -> jax.Array:
    """The features of a tensor, float32 (19,).

    With size(x) = 0.5 clip(log(1e-8 + |x|), -5, 5) and M the mean over the tensor: s / 5 of b1, b2
    and eps, whether it is a vector, whether a scalar (1 or -1), s / 5 of the rate; size and sign of
    M(g), size of M(|g|), size and sign of M(m), of M(p) and of M(v); sizes of the variances of g,
    m, p and v.
    """
    m, v = moments
    rate, b1, b2, eps = 0.2 * jnp.clip(logs, -5.0, 5.0)
    kinds = [jnp.float32(1.0 if p.ndim == axes else -1.0) for axes in (1, 0)]
    means = [mean(x) for x in (g, m, p, v)]
    of_g, *others = [[_size(x), jnp.sign(x)] for x in means]
    variances = [
        _size(mean(jnp.square(x - middle))) for x, middle in zip((g, m, p, v), means, strict=True)
    ]
    sizes = [*of_g, _size(mean(jnp.abs(g))), *(x for pair in others for x in pair), *variances]
    return jnp.stack([b1, b2, eps, *kinds, rate, *sizes])


def _size(x: jax.Array) -> jax.Array:
    return 0.5 * jnp.clip(jnp.log(1e-8 + jnp.abs(x)), -5.0, 5.0)
