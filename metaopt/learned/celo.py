"""A learned direction and a learned step size, kept apart.

With x the normalized features of each parameter (`features.velo`), h a GRU over the statistics of
its tensor, l a learned vector and M a learned matrix,

  u     = (l + h M) x + MLP(x)               direction, then scaled to rms(u) = 1 over its tensor
  r     = exp(a + f(h))                      step size of the tensor
  s     = sqrt(mean(p^2) + exp(2 b))         scale of the tensor
  p    <- p - (1 - t / T) r s u

The network begins as what works by hand: l picks Adam's direction, M and f are 0, a is log 0.01, so
that it is Adam with steps relative to the size of the weights and a rate that falls to zero in a
straight line. Meta-training moves it from there. The GRU sees, for each tensor, the losses and the
fraction of the training (as VeLO does), its rank, and logarithms of the length of the training and
of how large weights, gradients and the averages of gradients are; what the tensors see is pooled by
their mean.

Reference: the split of step size and direction, and the direction's unit length, are ideas of
Moudgil et al., "Celo: training versatile learned optimizers on a compute diet", 2025 (arXiv
2501.12670), and "Celo2: towards learned optimization free lunch", 2026 (arXiv 2602.19142); their
networks are others. The straight line is that of Defazio et al., "When, why and how much? Adaptive
learning rate scheduling by refinement", 2023 (arXiv 2310.07831).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.learned import accumulators, features, loss_features, mlp
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
from metaopt.learned.tensors import (
    FRACTIONS,
    RANKS,
    fraction_features,
    linear,
    mean,
    rank_features,
)

CONTRACT = "celo/2"

_ADAM = 7
"""Where m rsqrt(v + 1e-6), m the fastest average, stands among the features."""
_RATE, _FLOOR = 0.01, 0.1
_STATISTICS = 8
_LARGEST_GRADIENT = 1000.0


class CeloState(NamedTuple):
    """State of `celo`.

    Attributes:
      count: int32 (), updates made.
      losses: what is kept of the losses.
      h: float32 (tensors, hidden), the recurrent network's.
      acc: an `Accumulators` for each parameter tensor.
    """

    count: Any
    losses: Losses
    h: jax.Array
    acc: Any


def celo(hidden: int = 32, units: int = 8, layers: int = 2) -> LearnedOptimizer:
    """A network that learns step sizes and directions apart, about 10,000 meta-parameters.

    Args:
      hidden: units of the recurrent network.
      units: units of a hidden layer of the perceptron, which all parameters share.
      layers: its hidden layers.

    Returns:
      The learned optimizer. It needs the loss and the number of steps.
    """
    sizes = (features.VELO, *([units] * layers), 1)
    inputs = loss_features.COUNT + FRACTIONS + 1 + RANKS + _STATISTICS

    def init(key: jax.Array) -> Theta:
        keys = jax.random.split(key, 5)
        perceptron = mlp.init(keys[0], sizes)
        perceptron[-1] = jax.tree.map(jnp.zeros_like, perceptron[-1])
        return {
            "linear": jnp.zeros(features.VELO, jnp.float32).at[_ADAM].set(1.0),
            "steered": jnp.zeros((hidden, features.VELO), jnp.float32),
            "mlp": perceptron,
            "own": mlp.linear(keys[1], inputs, hidden),
            "pooled": mlp.linear(keys[2], inputs, hidden),
            "gates": mlp.linear(keys[3], 2 * hidden, 2 * hidden),
            "candidate": mlp.linear(keys[4], 2 * hidden, hidden),
            "rate": {"w": jnp.zeros((hidden, 1), jnp.float32), "b": jnp.zeros(1, jnp.float32)},
            "scale": jnp.float32(0.0),
            "floor": jnp.float32(0.0),
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        total = given_steps(CONTRACT, num_steps)

        def begin(params: optax.Params) -> CeloState:
            h = jnp.zeros((len(jax.tree.leaves(params)), hidden), jnp.float32)
            acc = jax.tree.map(lambda w: accumulators.zeros(w, compact=compact), params)
            return CeloState(jnp.zeros((), jnp.int32), loss_features.init(), h, acc)

        def update(
            updates: optax.Updates,
            state: Any,
            params: Any = None,
            *,
            value: Any = None,
            **extra: Any,
        ) -> tuple[optax.Updates, CeloState]:
            del extra
            params = given_params(CONTRACT, params)
            if not jax.tree.leaves(params):
                return updates, state
            losses = loss_features.updated(state.losses, given_loss(CONTRACT, value), total)
            leaves, tree = jax.tree.flatten(params)
            gradients = [
                jnp.clip(g.astype(jnp.float32), -_LARGEST_GRADIENT, _LARGEST_GRADIENT)
                for g in tree.flatten_up_to(updates)
            ]
            acc = [
                accumulators.updated(old, g, Decays())
                for old, g in zip(tree.flatten_up_to(state.acc), gradients, strict=True)
            ]
            common = [
                loss_features.features(losses),
                fraction_features(state.count, total),
                0.1 * jnp.log(total)[None],
            ]
            x = jnp.stack(
                [
                    jnp.concatenate([*common, rank_features(p), _statistics(p, g, a)])
                    for p, g, a in zip(leaves, gradients, acc, strict=True)
                ]
            )
            h = _recurrent(theta, x, state.h)
            rates = _RATE * jnp.exp(10.0 * theta["scale"] + linear(theta["rate"], h)[:, 0])
            rates = rates * jnp.maximum(0.0, 1.0 - state.count.astype(jnp.float32) / total)

            directions = _directions(theta, h, leaves, gradients, acc)
            floor = _FLOOR * jnp.exp(10.0 * theta["floor"])
            steps, kept = [], []
            for i, (p, g, u) in enumerate(
                zip(leaves, tree.flatten_up_to(updates), directions, strict=True)
            ):
                scale = jnp.sqrt(mean(jnp.square(p.astype(jnp.float32))) + floor**2)
                steps.append((-rates[i] * scale * u).astype(g.dtype))
                kept.append(accumulators.stored(acc[i], gradients[i], state.count, compact=compact))
            steps, kept = jax.tree.unflatten(tree, steps), jax.tree.unflatten(tree, kept)
            return steps, CeloState(state.count + 1, losses, h, kept)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(
        CONTRACT,
        {"hidden": hidden, "units": units, "layers": layers},
        init,
        bind,
        frozenset({"num_steps", "value"}),
        frozenset({"own", "pooled", "gates", "candidate", "rate"}),
    )


def _directions(
    theta: Theta,
    h: jax.Array,
    params: list[jax.Array],
    gradients: list[jax.Array],
    acc: list[Accumulators],
) -> list[jax.Array]:
    """The step of each tensor but for its size, of root mean square 1."""
    seen = [
        features.velo(p.astype(jnp.float32), g, a)
        for p, g, a in zip(params, gradients, acc, strict=True)
    ]
    own = theta["linear"][None] + jnp.dot(h, theta["steered"])
    sums = mlp.over_tensors(theta["mlp"], seen, own=own)
    # Whole before it is measured: summed up on the way, it would be computed slowly.
    sums = [jax.lax.optimization_barrier(u) for (u,) in sums]
    return [u * jax.lax.rsqrt(mean(u * u) + 1e-12) for u in sums]


def _statistics(p: jax.Array, g: jax.Array, acc: Accumulators) -> jax.Array:
    """How large what belongs to a tensor is, float32 (8,)."""
    p = p.astype(jnp.float32)

    def square(x: jax.Array) -> jax.Array:
        return mean(jnp.square(x))

    fast, middle, slow = map(square, acc.m)
    both, scale = square(g), square(p)
    tiny = 1e-16
    ratios = jnp.stack(
        [
            scale,
            both,
            jnp.float32(p.size),
            # How much of the gradients is signal, over ten, a hundred and a thousand steps.
            fast / (both + tiny),
            middle / (both + tiny),
            slow / (both + tiny),
            both / (mean(acc.v) + tiny),
            jnp.square(mean(p)) / (scale + tiny),
        ]
    )
    return 0.1 * jnp.log(ratios + 1e-12)


def _recurrent(theta: Theta, x: jax.Array, h: jax.Array) -> jax.Array:
    """A gated recurrent unit (Cho et al., arXiv 1406.1078) for each tensor."""
    pooled = jnp.mean(jax.nn.relu(linear(theta["pooled"], x)), axis=0, keepdims=True)
    y = jax.nn.relu(linear(theta["own"], x) + jnp.broadcast_to(pooled, h.shape))
    update, reset = jnp.split(
        jax.nn.sigmoid(linear(theta["gates"], jnp.concatenate([y, h], axis=1))), 2, axis=1
    )
    new = jnp.tanh(linear(theta["candidate"], jnp.concatenate([y, reset * h], axis=1)))
    return update * h + (1 - update) * new
