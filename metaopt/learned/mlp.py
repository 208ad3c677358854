"""The small perceptrons that are evaluated once for every parameter of a network.

A perceptron of 39-4-4-2 units on millions of parameters is not a matrix product with an inner size
of 4: written as sums of products of whole arrays, all of it is one pass over memory. Features come
first, as a sequence of arrays, and a feature that is the same along an axis has size 1 there: its
part of the first layer is as small as it is. That normalizes features for free, too, since
W (s x) = (W s) x, with one s for a feature and tensor.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from metaopt.learned.stacks import members, over

Layers = list[dict[str, jax.Array]]
"""For each layer `w` float32 (inputs, outputs) and `b` float32 (outputs,)."""

_UNROLLED = 8
"""Layers up to this many units are sums of products of arrays; wider ones are matrix products."""

_SMALL = 256
"""Tensors with no more elements than this are evaluated at once."""


def init(key: jax.Array, sizes: Sequence[int], bank: tuple[int, ...] = ()) -> Layers:
    """Weights: normal of deviation 1 / sqrt(inputs), truncated at two deviations; biases are 0.

    Args:
      key: what they are drawn from.
      sizes: units of each layer, the inputs first.
      bank: leading axes, for many perceptrons at once.
    """
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {
            "w": _truncated_normal(key, (*bank, inputs, outputs)) / math.sqrt(inputs),
            "b": jnp.zeros((*bank, outputs), jnp.float32),
        }
        for key, (inputs, outputs) in zip(keys, itertools.pairwise(sizes), strict=True)
    ]


def linear(key: jax.Array, inputs: int, outputs: int) -> dict[str, jax.Array]:
    """A single layer, drawn like those of `init`."""
    return init(key, (inputs, outputs))[0]


def _truncated_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal, truncated at 2 and not widened again."""
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, jnp.float32)


def apply(layers: Layers, features: Sequence[jax.Array]) -> list[jax.Array]:
    """The outputs of a perceptron with ReLU units, at every element.

    Args:
      layers: its weights.
      features: arrays of any shapes that broadcast together, one a feature.

    Returns:
      An array an output, of the shape that the features broadcast to.
    """
    hidden, last = list(features), len(layers) - 1
    for i, layer in enumerate(layers):
        narrow = layer["w"].shape[1] <= _UNROLLED
        if narrow and i == 0 < last and jax.default_backend() != "cpu":
            hidden = _stacked(layer, hidden)
        else:
            # A compiler may compute a unit again for each unit that takes it, and so on upwards:
            # XLA then needs minutes to compile a perceptron for a GPU, which is no faster for it.
            hidden = list(lax.optimization_barrier(tuple(hidden)))
            hidden = (_summed if narrow else _multiplied)(layer, hidden)
        if i < last:
            hidden = [jax.nn.relu(x) for x in hidden]
    return hidden


def _stacked(layer: dict[str, jax.Array], inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """A layer as one array, its units on the last axis.

    So the features are never in a GPU's memory: units of an element, which are neighbours, each
    compute them again from the little that they follow from.
    """
    ones = (1,) * max(x.ndim for x in inputs)
    inputs = [x if x.ndim else x.reshape(ones) for x in inputs]
    total = layer["b"].reshape(*ones, -1)
    for same in _of_one_shape(inputs):
        total = total + sum(inputs[i][..., None] * layer["w"][i].reshape(*ones, -1) for i in same)
    total = lax.optimization_barrier(total)
    return [total[..., u] for u in range(layer["b"].shape[0])]


def _summed(layer: dict[str, jax.Array], inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """A layer as sums over inputs of the same shape, the smallest first."""
    shapes = _of_one_shape(inputs)

    def unit(u: int) -> jax.Array:
        total = layer["b"][u]
        for same in shapes:
            total = total + sum(layer["w"][i, u] * inputs[i] for i in same)
        return total

    return [unit(u) for u in range(layer["b"].shape[0])]


def _of_one_shape(inputs: Sequence[jax.Array]) -> list[list[int]]:
    """Which inputs have the same shape, the smallest shape first."""
    order = sorted(range(len(inputs)), key=lambda i: (inputs[i].size, inputs[i].shape))
    return [list(same) for _, same in itertools.groupby(order, lambda i: inputs[i].shape)]


def _multiplied(layer: dict[str, jax.Array], inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """A layer as one matrix product, inputs and outputs on the first axis."""
    shape = jnp.broadcast_shapes(*(x.shape for x in inputs))
    stacked = jnp.stack([jnp.broadcast_to(x, shape) for x in inputs])
    outputs = jnp.tensordot(layer["w"], stacked, axes=(0, 0))
    return list(outputs + layer["b"].reshape(-1, *(1 for _ in shape)))


def over_stacks(
    layers: Layers,
    see: Callable[..., list[jax.Array]],
    *stacks: Sequence[Any],
    common: Sequence[jax.Array] = (),
    own: Sequence[jax.Array] | None = None,
) -> list[list[jax.Array]]:
    """The outputs of a perceptron that is the same for all tensors, which are stacked.

    Small tensors are evaluated at once, as if they were one, which is quicker to compile and takes
    fewer kernels; large ones each for themselves, since that copies nothing.

    Args:
      layers: its weights.
      see: what stacks hold of a tensor -> its features, which are normalized here over the tensor:
        x rsqrt(1e-5 + mean(x^2)).
      stacks: of one thing or more, the tensors first.
      common: further features, scalars, the same for all tensors.
      own: a stack of float32 (features,), weights of each tensor's own: the sum of normalized
        features with these is added to the first output.

    Returns:
      A stack of the outputs, each of the shape that the features broadcast to.
    """
    kinds = list(zip(*stacks, strict=True))
    small = [i for i, kind in enumerate(kinds) if _at_once(kind)]
    weights = list(own or [None] * len(kinds))
    joined: dict[int, list[jax.Array]] = {}
    if len(small) > 1:
        features = [jax.vmap(see)(*kinds[i]) for i in small]
        at_once = _joined(layers, features, common, [weights[i] for i in small])
        joined = dict(zip(small, at_once, strict=True))

    def alone(own: jax.Array | None, *things: Any) -> list[jax.Array]:
        return _alone(layers, common, see(*things), own)

    return [
        joined[i] if i in joined else over(alone, [weights[i]], *([x] for x in kind))[0]
        for i, kind in enumerate(kinds)
    ]


def _at_once(kind: tuple[Any, ...]) -> bool:
    """Whether a stack is evaluated with others; those that are sharded stay where they are."""
    looped = members(kind) > 1 and jax.default_backend() == "cpu"
    sharded = any(any(jax.typeof(x).sharding.spec) for x in jax.tree.leaves(kind))
    return math.prod(kind[0].shape[1:]) <= _SMALL and not looped and not sharded


def _shape(features: Sequence[jax.Array]) -> tuple[int, ...]:
    return jnp.broadcast_shapes(*(x.shape for x in features))


def _alone(
    layers: Layers,
    common: Sequence[jax.Array],
    features: Sequence[jax.Array],
    own: jax.Array | None,
) -> list[jax.Array]:
    """One tensor's."""
    scales = [scale(x) for x in features]
    first, *others = apply(normalized(layers, scales), [*features, *common])
    if own is not None:
        straight = [{"w": own[:, None], "b": jnp.zeros(1, own.dtype)}]
        first = first + apply(normalized(straight, scales), features)[0]
    return [first, *others]


def _joined(
    layers: Layers,
    features: Sequence[Sequence[jax.Array]],
    common: Sequence[jax.Array],
    own: Sequence[jax.Array | None],
) -> list[list[jax.Array]]:
    """All tensors' of several stacks, as one long vector."""
    shapes = [_shape(seen) for seen in features]
    rows = [_rows(seen, shape) for seen, shape in zip(features, shapes, strict=True)]
    first, *others = apply(layers, [*_flat(rows, 1), *common])
    given = [w for w in own if w is not None]
    if given:
        sums = [jnp.sum(x * w.T[:, :, None], axis=0) for x, w in zip(rows, given, strict=True)]
        first = first + _flat(sums, 0)
    ends = list(itertools.accumulate(map(math.prod, shapes)))[:-1]
    parts = zip(*(jnp.split(output, ends) for output in (first, *others)), strict=True)
    return [
        [part.reshape(shape) for part in outputs]
        for outputs, shape in zip(parts, shapes, strict=True)
    ]


def _rows(features: Sequence[jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """Normalized features of a stack, (features, tensors, elements)."""
    x = jnp.stack([jnp.broadcast_to(x, shape).reshape(shape[0], -1) for x in features])
    return x * lax.rsqrt(1e-5 + jnp.sum(x * x, axis=2, keepdims=True) / max(1, x.shape[2]))


def _flat(stacks: Sequence[jax.Array], leading: int) -> jax.Array:
    """Arrays joined over all axes but the leading ones."""
    return jnp.concatenate([x.reshape(*x.shape[:leading], -1) for x in stacks], axis=leading)


def scale(x: jax.Array) -> jax.Array:
    """What normalizes a feature over its tensor: rsqrt(1e-5 + mean(x^2)), a scalar."""
    return lax.rsqrt(1e-5 + jnp.sum(jnp.square(x)) / max(1, x.size))


def normalized(layers: Layers, scales: Sequence[jax.Array]) -> Layers:
    """The perceptron that takes features x where the given one takes s x.

    Args:
      layers: the perceptron.
      scales: s, one scalar for each of the first features; the others stay as they are.
    """
    first, *others = layers
    known, rest = jnp.split(first["w"], [len(scales)])
    scaled = known * jnp.stack([jnp.reshape(s, ()) for s in scales])[:, None]
    return [{"w": jnp.concatenate([scaled, rest]), "b": first["b"]}, *others]
