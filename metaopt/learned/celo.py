"""A learned direction and a learned step size, kept apart.

With x the normalized features of each parameter (`features.velo`), h a GRU over the statistics z
of its tensor, m the gradient and its three averages, l, n, M and N learned, and NS(.) a matrix's
orthogonal factor by five steps of Newton and Schulz,

  w     = (l + h M) x + MLP(x)               a direction for each entry, then rms(w) = 1
  o     = NS((n + h N) m)                    one for the matrix, then rms(o) = 1 at full rank
  u     = (1 - q) k w + q o                  q = sigmoid(f(h, z)), k = sqrt(16 / smaller side)
  r     = exp(a + e(h, z))                   step size of the tensor
  s     = sqrt(mean(p^2) + exp(2 b))         scale of the tensor
  p    <- p - (1 - t / T) r s u

Vectors and scalars have u = w. A tensor with more axes counts as the matrix that is nearest to a
square among those that its axes, cut in two, make up: kernels of convolutions and of attention are
what they multiply as, with inputs first or last.

k is there for what no small task teaches: at rms 1, the largest singular value of w grows as the
root of the smaller side beside that of o, so that steps that are right for a narrow network are too
large for a wide one. Gradients are seen in units of their own size over the tensor, so that of a
gradient only its direction and its changes matter to x.

The network begins as what works by hand: l picks Adam's direction and n Nesterov's momentum, q is a
half, M, N and f are 0, a is log 0.03, and e is a quarter of the logarithm of mean(m^2) / mean(v):
steps relative to the size of weights, shorter where gradients contradict each other, at a rate that
falls to zero in a straight line. Meta-training moves it from there. The GRU sees, for each tensor,
the losses and the fraction of the training (as VeLO does), logarithms of the training's length, of
how large weights, gradients and averages are and of the sides, how unevenly gradients are spread,
and the angles between the gradient, its averages and the weights; what the tensors see is pooled by
their mean.

Reference: the split of step size and direction, the direction's unit length and orthogonalized
updates are ideas of Moudgil et al., "Celo: training versatile learned optimizers on a compute
diet", 2025 (arXiv 2501.12670), and "Celo2: towards learned optimization free lunch", 2026 (arXiv
2602.19142); their networks are others. The orthogonal direction is Muon's (Jordan et al., 2024).
The straight line is that of Defazio et al., "When, why and how much? Adaptive learning rate
scheduling by refinement", 2023 (arXiv 2310.07831).
"""

import math
from collections.abc import Sequence
from functools import partial
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
from metaopt.learned.orthogonal import matrix_shape, orthogonal
from metaopt.learned.stacks import Stacks, alike, over, unzipped
from metaopt.learned.tensors import (
    FRACTIONS,
    RANKS,
    fraction_features,
    linear,
    mean,
    rank_features,
)

CONTRACT = "celo/3"

_ADAM = 7
"""Where m rsqrt(v + 1e-6), m the fastest average, stands among the features."""
_NESTEROV = (0.1, 0.9, 0.0, 0.0)
"""Weights of the gradient and of its averages, the fastest first."""
_RATE, _FLOOR = 0.03, 0.1
_WIDTH = 16.0
"""Smaller side of the matrices whose directions w and o count alike."""
_GAIN = 3.0
"""What the heads' outputs are multiplied with, so that their weights need not be large."""
_LOGARITHMS, _COSINES, _SIGNAL = 15, 3, 7
"""Statistics of a tensor; which of them is the logarithm of mean(m^2) / mean(v)."""
_LARGEST_GRADIENT = 1000.0
_TINY = 1e-30
_DECAYS = Decays()


class CeloState(NamedTuple):
    """State of `celo`.

    Attributes:
      count: int32 (), updates made.
      losses: what is kept of the losses.
      h: float32 (tensors, hidden), the recurrent network's, stack after stack.
      acc: an `Accumulators` for each stack of parameter tensors.
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
    inputs = loss_features.COUNT + FRACTIONS + 1 + RANKS + _LOGARITHMS + _COSINES

    def init(key: jax.Array) -> Theta:
        keys = jax.random.split(key, 5)
        perceptron = mlp.init(keys[0], sizes)
        perceptron[-1] = jax.tree.map(jnp.zeros_like, perceptron[-1])
        heads = jnp.zeros((hidden + inputs, 2), jnp.float32)
        signal = hidden + inputs - _COSINES - _LOGARITHMS + _SIGNAL
        return {
            "linear": jnp.zeros(features.VELO, jnp.float32).at[_ADAM].set(1.0),
            "steered": jnp.zeros((hidden, features.VELO), jnp.float32),
            "momenta": jnp.array(_NESTEROV, jnp.float32),
            "steered_momenta": jnp.zeros((hidden, len(_NESTEROV)), jnp.float32),
            "mlp": perceptron,
            "own": mlp.linear(keys[1], inputs, hidden),
            "pooled": mlp.linear(keys[2], inputs, hidden),
            "gates": mlp.linear(keys[3], 2 * hidden, 2 * hidden),
            "candidate": mlp.linear(keys[4], 2 * hidden, hidden),
            # Statistics are tenths of logarithms.
            "heads": {
                "w": heads.at[signal, 0].set(0.25 * 10.0 / _GAIN),
                "b": jnp.zeros(2, jnp.float32),
            },
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
            acc = alike(params).filled(partial(accumulators.zeros, compact=compact))
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
            stacks = alike(params)
            p, g = stacks.stacked(params), stacks.stacked(updates)
            g = [jnp.clip(x, -_LARGEST_GRADIENT, _LARGEST_GRADIENT) for x in g]

            def seen(p: jax.Array, g: jax.Array, old: Accumulators) -> tuple[Any, ...]:
                new = accumulators.updated(old, g, _DECAYS)
                size = mean(new.v) / (1 - _DECAYS.second ** (state.count + 1.0))
                unit = jax.lax.rsqrt(size + _TINY)
                return new, unit, _statistics(p, g, old, new, unit, size, state.count)

            acc, units, statistics = unzipped(over(seen, p, g, state.acc))
            z = jnp.concatenate(statistics)
            common = [
                loss_features.features(losses),
                fraction_features(state.count, total),
                0.1 * jnp.log(total)[None],
            ]
            common = jnp.concatenate(common)[None]
            z = jnp.concatenate([jnp.broadcast_to(common, (len(z), common.size)), z], axis=1)
            h = _recurrent(theta, z, state.h)
            bent, between = (_GAIN * linear(theta["heads"], jnp.concatenate([h, z], axis=1))).T
            rates = _RATE * jnp.exp(10.0 * theta["scale"] + bent)
            rates = rates * jnp.maximum(0.0, 1.0 - state.count.astype(jnp.float32) / total)
            floor = _FLOOR * jnp.exp(10.0 * theta["floor"])

            def moved(
                p: jax.Array, g: jax.Array, new: Accumulators, direction: jax.Array, rate: jax.Array
            ) -> tuple[jax.Array, Accumulators]:
                step = -rate * jnp.sqrt(mean(jnp.square(p)) + floor**2) * direction
                return step, accumulators.stored(new, g, state.count, compact=compact)

            u = _directions(theta, h, jax.nn.sigmoid(between), stacks, (p, g, acc, units))
            steps, kept = unzipped(over(moved, p, g, acc, u, stacks.split(rates)))
            return stacks.unstacked(steps, updates), CeloState(state.count + 1, losses, h, kept)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(
        CONTRACT,
        {"hidden": hidden, "units": units, "layers": layers},
        init,
        bind,
        frozenset({"num_steps", "value"}),
        frozenset({"own", "pooled", "gates", "candidate", "heads"}),
    )


# ---------------------------------------------------------------- directions


def _directions(
    theta: Theta,
    h: jax.Array,
    between: jax.Array,
    stacks: Stacks,
    seen: tuple[Sequence[Any], ...],
) -> list[jax.Array]:
    """The step of each tensor but for its size, stacked."""

    def inputs(p: jax.Array, g: jax.Array, acc: Accumulators, unit: jax.Array) -> list[jax.Array]:
        return features.velo(p, *_in_units(unit, g, acc))

    own = theta["linear"][None] + jnp.dot(h, theta["steered"])
    entries = mlp.over_stacks(theta["mlp"], inputs, *seen, own=stacks.split(own))
    momenta = stacks.split(theta["momenta"][None] + jnp.dot(h, theta["steered_momenta"]))
    matrices = [i for i, (w,) in enumerate(entries) if matrix_shape(w.shape[1:])]
    mixed = over(_momentum, *([kind[i] for i in matrices] for kind in (momenta, *seen[1:])))
    factors: list[Any] = [None] * len(entries)
    for i, o in zip(matrices, orthogonal(mixed), strict=True):
        factors[i] = o

    def direction(entries: list[jax.Array], o: jax.Array | None, between: jax.Array) -> jax.Array:
        # Whole before it is measured: summed up on the way, it would be computed slowly.
        (w,) = jax.lax.optimization_barrier(entries)
        w = w * jax.lax.rsqrt(mean(w * w) + 1e-12)
        if o is None:
            return w
        narrow = math.sqrt(_WIDTH / min(matrix_shape(w.shape) or (1, 1)))
        return (1 - between) * narrow * w + between * o

    return over(direction, entries, factors, stacks.split(between))


def _momentum(weights: jax.Array, g: jax.Array, acc: Accumulators, unit: jax.Array) -> jax.Array:
    return sum((w * unit * x for w, x in zip(weights, (g, *acc.m), strict=True)), jnp.zeros_like(g))


# ---------------------------------------------------------------- what there is to see of a tensor


def _in_units(unit: jax.Array, g: jax.Array, acc: Accumulators) -> tuple[jax.Array, Accumulators]:
    """The gradient and the averages as they would be of gradients times a unit."""
    v, row, col = jax.tree.map(lambda x: unit**2 * x, (acc.v, acc.row, acc.col))
    return unit * g, Accumulators(tuple(unit * x for x in acc.m), v, row, col)


def _statistics(
    p: jax.Array,
    g: jax.Array,
    old: Accumulators,
    new: Accumulators,
    unit: jax.Array,
    size: jax.Array,
    count: jax.Array,
) -> jax.Array:
    """Kinds, logarithms of what is positive, and cosines of angles, float32 (23,)."""
    before = [unit * x.astype(jnp.float32) for x in old.m[:2]]
    g, acc = _in_units(unit, g, new)
    t = count.astype(jnp.float32) + 1.0

    def square(x: jax.Array) -> jax.Array:
        return mean(jnp.square(x))

    fast, middle, slow = map(square, acc.m)
    both, scale = square(g), square(p)
    ratios = jnp.stack(
        [
            scale,
            size,
            # How much of the gradients is signal, over ten, a hundred and a thousand steps.
            fast / (both + 1e-16),
            middle / (both + 1e-16),
            slow / (both + 1e-16),
            both,
            square(mean(p)) / (scale + 1e-16),
            fast / (1 - _DECAYS.momentum[0] ** t) ** 2,
            middle / (1 - _DECAYS.momentum[1] ** t) ** 2,
            # How unevenly gradients are spread: over entries, rows and columns.
            _unevenness(acc.v),
            _unevenness(acc.row[-1]),
            _unevenness(acc.col[-1]) if acc.col else jnp.float32(1.0),
            *(jnp.float32(n) for n in (p.size, *sorted(matrix_shape(p.shape) or (1, 1)))),
        ]
    )
    cosines = [mean(g * x) * jax.lax.rsqrt(both * square(x) + 1e-16) for x in (*before, p)]
    return jnp.concatenate([rank_features(p), 0.1 * jnp.log(ratios + 1e-12), jnp.stack(cosines)])


def _unevenness(x: jax.Array) -> jax.Array:
    """The mean square over the squared mean: 1 where all entries are equal."""
    return mean(jnp.square(x)) / (jnp.square(mean(x)) + _TINY)


def _recurrent(theta: Theta, x: jax.Array, h: jax.Array) -> jax.Array:
    """A gated recurrent unit (Cho et al., arXiv 1406.1078) for each tensor."""
    pooled = jnp.mean(jax.nn.relu(linear(theta["pooled"], x)), axis=0, keepdims=True)
    y = jax.nn.relu(linear(theta["own"], x) + jnp.broadcast_to(pooled, h.shape))
    update, reset = jnp.split(
        jax.nn.sigmoid(linear(theta["gates"], jnp.concatenate([y, h], axis=1))), 2, axis=1
    )
    new = jnp.tanh(linear(theta["candidate"], jnp.concatenate([y, reset * h], axis=1)))
    return update * h + (1 - update) * new
