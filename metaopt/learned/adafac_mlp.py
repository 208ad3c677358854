"""AdaFac-MLP: a tiny perceptron, the same for every parameter of a network.

  x = normalized features of the parameter (28, see `features.adafac`), and of time (11)
  o0, o1 = MLP(x)
  p <- p - 0.001 o0 exp(0.001 o1)

The decays of its seven moving averages are learned with it: d = 1 - exp(10 (log(1 - d0) / 10 + a)).

Reference: Metz et al., "Practical tradeoffs between memory, compute, and performance in learned
optimizers", 2022 (arXiv 2203.11860), where it is `small_fc_lopt`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.learned import accumulators, features, mlp
from metaopt.learned.accumulators import Decays
from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta, given_params

CONTRACT = "adafac_mlp/1"

STEP, EXPONENT = 0.001, 0.001
_DECAYS = Decays()


class AdafacMLPState(NamedTuple):
    """State of `adafac_mlp`.

    Attributes:
      count: int32 (), updates made.
      acc: an `Accumulators` for each parameter tensor.
    """

    count: Any
    acc: Any


def adafac_mlp(hidden: int = 4, layers: int = 2) -> LearnedOptimizer:
    """AdaFac-MLP, 197 meta-parameters by default.

    Args:
      hidden: units of a hidden layer.
      layers: number of hidden layers.

    Returns:
      The learned optimizer. Bound, its state holds 10 bytes a parameter (16 if not compact), and a
      few bytes a row and column of each matrix; Adam's holds 8.
    """
    units = (features.ADAFAC + len(features.TIMESCALES), *([hidden] * layers), 2)

    def init(key: jax.Array) -> Theta:
        return {
            "mlp": mlp.init(key, units),
            "decays": {
                "momentum": jnp.zeros(3, jnp.float32),
                "second": jnp.zeros((), jnp.float32),
                "factored": jnp.zeros(3, jnp.float32),
            },
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        del num_steps

        def begin(params: optax.Params) -> AdafacMLPState:
            acc = jax.tree.map(lambda w: accumulators.zeros(w, compact=compact), params)
            return AdafacMLPState(jnp.zeros((), jnp.int32), acc)

        def update(
            updates: optax.Updates, state: Any, params: Any = None, **extra: Any
        ) -> tuple[optax.Updates, AdafacMLPState]:
            del extra
            params = given_params(CONTRACT, params)
            decays = learned_decays(theta["decays"])
            leaves, tree = jax.tree.flatten(params)
            gradients = tree.flatten_up_to(updates)
            acc = [
                accumulators.updated(old, g, decays)
                for old, g in zip(tree.flatten_up_to(state.acc), gradients, strict=True)
            ]
            seen = [
                features.adafac(p.astype(jnp.float32), g.astype(jnp.float32), a)
                for p, g, a in zip(leaves, gradients, acc, strict=True)
            ]
            time = features.time(state.count)
            outputs = mlp.over_tensors(theta["mlp"], seen, time)
            steps = [
                (-STEP * direction * jnp.exp(EXPONENT * magnitude)).astype(g.dtype)
                for g, (direction, magnitude) in zip(gradients, outputs, strict=True)
            ]
            kept = [
                accumulators.stored(a, g, state.count, compact=compact)
                for a, g in zip(acc, gradients, strict=True)
            ]
            steps, acc = jax.tree.unflatten(tree, steps), jax.tree.unflatten(tree, kept)
            return steps, AdafacMLPState(state.count + 1, acc)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(CONTRACT, {"hidden": hidden, "layers": layers}, init, bind)


def learned_decays(offsets: Theta) -> Decays:
    """The decays that learned offsets stand for; an offset of 0 is the decay as published."""

    def decay(start: Any, offset: jax.Array) -> jax.Array:
        one_minus = jnp.exp(10 * (np.log1p(-np.asarray(start, np.float32)) / 10 + offset))
        return jnp.clip(1 - one_minus, 0.0, 1.0)

    return Decays(
        momentum=tuple(decay(_DECAYS.momentum, offsets["momentum"])),
        second=decay(_DECAYS.second, offsets["second"]),
        factored=tuple(decay(_DECAYS.factored, offsets["factored"])),
    )
