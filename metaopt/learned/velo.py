"""VeLO: a recurrent network for each tensor that mixes a bank of tiny perceptrons.

For each tensor, with s = 1 / rms(p):

  x  = [loss features (9), fraction of training (9), rank (5), var(m s) (3), mean(v s), var(v s)]
  y  = A x + max over all tensors of relu(B x)
  h  = LSTM(y)
  o0, o1 = MLP(features of each parameter), its weights 100 mean_k((C h)_k W_k)
  p <- p - 0.001 (D h) o0 exp(0.001 o1) sqrt(mean(p^2) + 1e-9)

The recurrent network sees moving averages as they were before the gradient, the perceptrons after.
Features are those of `features.velo`; statistics pass 0.5 clip(log(1e-8 + 10 |x|), -5, 5).

Reference: Metz et al., "VeLO: training versatile learned optimizers by scaling up", 2022 (arXiv
2211.09760).

Deviations: of the authors' code, not of the paper. The variance of v is around its own mean (there
it is around those of m), half-lives of the loss's averages follow the length of the training
(there they are those of 10 steps), losses are bounded by the largest of these averages in absolute
value (there by the absolute value of the largest), and two parts that lead nowhere, a third linear
layer and a third output of the perceptrons, are left out.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.learned import accumulators, features, loss_features, lstm, mlp
from metaopt.learned.accumulators import Accumulators, Decays
from metaopt.learned.loss_features import Losses
from metaopt.learned.optimizer import (
    LearnedOptimizer,
    Scalar,
    Theta,
    given_loss,
    given_params,
    given_steps,
)
from metaopt.learned.stacks import alike, over, unzipped
from metaopt.learned.tensors import (
    FRACTIONS,
    RANKS,
    fraction_features,
    linear,
    magnitude,
    mean,
    rank_features,
)

CONTRACT = "velo/2"

STEP, EXPONENT, MIX = 0.001, 0.001, 100.0
_LARGEST_GRADIENT = 1000.0
INPUTS = loss_features.COUNT + FRACTIONS + RANKS + 5
"""Features of a tensor that its recurrent network sees."""


class VeLOState(NamedTuple):
    """State of `velo`.

    Attributes:
      count: int32 (), updates made.
      losses: what is kept of the losses.
      lstm: hidden state and cell of each tensor, stack after stack, float32 (tensors, hidden) each.
      acc: an `Accumulators` for each stack of parameter tensors.
    """

    count: Any
    losses: Losses
    lstm: tuple[jax.Array, jax.Array]
    acc: Any


def velo(hidden: int = 512, bank: int = 256, units: int = 4, layers: int = 2) -> LearnedOptimizer:
    """VeLO's hypernetwork, 2.3 million meta-parameters at the published size, the default.

    Args:
      hidden: units of the recurrent network.
      bank: perceptrons that are mixed.
      units: units of a hidden layer of a perceptron.
      layers: its hidden layers.

    Returns:
      The learned optimizer. It needs the loss and the number of steps.
    """
    sizes = (features.VELO, *([units] * layers), 2)

    def init(key: jax.Array) -> Theta:
        keys = jax.random.split(key, 6)
        return {
            "mixed": mlp.linear(keys[0], INPUTS, hidden),
            "own": mlp.linear(keys[1], INPUTS, hidden),
            "lstm": lstm.init(keys[2], hidden, hidden),
            "start": {name: jnp.zeros(hidden, jnp.float32) for name in "hc"},
            "controls": mlp.linear(keys[3], hidden, bank),
            "rate": mlp.linear(keys[4], hidden, 1),
            "bank": mlp.init(keys[5], sizes, (bank,)),
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        total = given_steps(CONTRACT, num_steps)

        def begin(params: optax.Params) -> VeLOState:
            tensors = len(jax.tree.leaves(params))
            h, c = (
                jnp.broadcast_to(theta["start"][name][None], (tensors, hidden)) for name in "hc"
            )
            acc = alike(params).filled(partial(accumulators.zeros, compact=compact))
            return VeLOState(jnp.zeros((), jnp.int32), loss_features.init(), (h, c), acc)

        def update(
            updates: optax.Updates,
            state: Any,
            params: Any = None,
            *,
            value: Any = None,
            **extra: Any,
        ) -> tuple[optax.Updates, VeLOState]:
            del extra
            params = given_params(CONTRACT, params)
            if not jax.tree.leaves(params):
                return updates, state
            losses = loss_features.updated(state.losses, given_loss(CONTRACT, value), total)
            common = jnp.concatenate(
                [loss_features.features(losses), fraction_features(state.count, total)]
            )
            stacks = alike(params)
            p, g = stacks.stacked(params), stacks.stacked(updates)
            x = jnp.concatenate(over(lambda p, acc: _seen(p, acc, common), p, state.acc))
            mixed = jnp.max(jax.nn.relu(linear(theta["mixed"], x)), axis=0, keepdims=True)
            y = linear(theta["own"], x) + jnp.broadcast_to(mixed, (len(x), hidden))
            h, c = lstm.apply(theta["lstm"], y, state.lstm)
            controls, rates = linear(theta["controls"], h), linear(theta["rate"], h)[:, 0]
            nets = jax.tree.map(
                lambda w: MIX / bank * jnp.tensordot(controls, w, axes=(1, 0)), theta["bank"]
            )

            def moved(
                p: jax.Array, g: jax.Array, old: Any, net: mlp.Layers, rate: jax.Array
            ) -> tuple[jax.Array, Any]:
                g = jnp.clip(g, -_LARGEST_GRADIENT, _LARGEST_GRADIENT)
                new = accumulators.updated(old, g, Decays())
                seen = features.velo(p, g, new)
                net = mlp.normalized(net, [mlp.scale(x) for x in seen])
                direction, magnitude = mlp.apply(net, seen)
                size = STEP * rate * jnp.sqrt(mean(p * p) + 1e-9)
                step = -size * direction * jnp.exp(EXPONENT * magnitude)
                return step, accumulators.stored(new, g, state.count, compact=compact)

            found = over(moved, p, g, state.acc, stacks.split(nets), stacks.split(rates))
            steps, acc = unzipped(found)
            state = VeLOState(state.count + 1, losses, (h, c), acc)
            return stacks.unstacked(steps, updates), state

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(
        CONTRACT,
        {"hidden": hidden, "bank": bank, "units": units, "layers": layers},
        init,
        bind,
        frozenset({"num_steps", "value"}),
        frozenset({"mixed", "own", "lstm", "controls", "rate"}),
    )


# ---------------------------------------------------------------- what a recurrent network sees


def _seen(p: jax.Array, acc: Accumulators, common: jax.Array) -> jax.Array:
    """The features of a tensor, float32 (INPUTS,)."""
    s = jax.lax.rsqrt(jnp.maximum(1e-9, mean(jnp.square(p))))
    m = [x.astype(jnp.float32) * s for x in acc.m]
    v = acc.v.astype(jnp.float32) * s
    statistics = jnp.stack([*map(_variance, m), mean(v), _variance(v)])
    return jnp.concatenate([common, rank_features(p), magnitude(statistics)])


def _variance(x: jax.Array) -> jax.Array:
    return mean(jnp.square(x - mean(x)))
