"""AdaFac-MLP: a tiny perceptron, the same for every parameter of a network.

  x = normalized features of the parameter (28, see `features.adafac`), and of time (11)
  o0, o1 = MLP(x)
  p <- p - 0.001 o0 exp(0.001 o1)

The decays of its seven moving averages are learned with it: d = 1 - exp(10 (log(1 - d0) / 10 + a)).

Reference: Metz et al., "Practical tradeoffs between memory, compute, and performance in learned
optimizers", 2022 (arXiv 2203.11860), where it is `small_fc_lopt`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.learned import accumulators, features, mlp
from metaopt.learned.accumulators import Decays
from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta, given_params
from metaopt.learned.stacks import alike, over, unzipped

CONTRACT = "adafac_mlp/1"

STEP, EXPONENT = 0.001, 0.001
_DECAYS = Decays()


class AdafacMLPState(NamedTuple):
    """State of `adafac_mlp`.

    Attributes:
      count: int32 (), updates made.
      acc: an `Accumulators` for each stack of parameter tensors.
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
            acc = alike(params).filled(partial(accumulators.zeros, compact=compact))
            return AdafacMLPState(jnp.zeros((), jnp.int32), acc)

        def update(
            updates: optax.Updates, state: Any, params: Any = None, **extra: Any
        ) -> tuple[optax.Updates, AdafacMLPState]:
            del extra
            params = given_params(CONTRACT, params)
            if not jax.tree.leaves(params):
                return updates, state
            decays = learned_decays(theta["decays"])
            stacks = alike(params)
            p, g = stacks.stacked(params), stacks.stacked(updates)
            acc = over(lambda old, g: accumulators.updated(old, g, decays), state.acc, g)
            outputs = mlp.over_stacks(
                theta["mlp"], features.adafac, p, g, acc, common=features.time(state.count)
            )

            def moved(g: jax.Array, new: Any, outputs: list[jax.Array]) -> tuple[jax.Array, Any]:
                direction, magnitude = outputs
                step = -STEP * direction * jnp.exp(EXPONENT * magnitude)
                return step, accumulators.stored(new, g, state.count, compact=compact)

            steps, acc = unzipped(over(moved, g, acc, outputs))
            return stacks.unstacked(steps, updates), AdafacMLPState(state.count + 1, acc)

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
