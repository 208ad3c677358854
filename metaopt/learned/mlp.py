"""The small perceptrons that are evaluated once for every parameter of a network.

A perceptron of 39-4-4-2 units on millions of parameters is not a matrix product with an inner size
of 4: written as sums of products of whole arrays, all of it is one pass over memory. Features come
first, as a sequence of arrays, and a feature that is the same along an axis has size 1 there: its
part of the first layer is as small as it is. That normalizes features for free, too, since
W (s x) = (W s) x, with one s for a feature and tensor.
"""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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


def over_tensors(
    layers: Layers,
    features: Sequence[Sequence[jax.Array]],
    common: Sequence[jax.Array] = (),
    own: jax.Array | None = None,
) -> list[list[jax.Array]]:
    """The outputs of a perceptron that is the same for several tensors.

    Small tensors are evaluated at once, as if they were one, which is quicker to compile and takes
    fewer kernels; large ones each for themselves, since that copies nothing.

    Args:
      layers: its weights.
      features: for each tensor its features, which are normalized here: x rsqrt(1e-5 + mean(x^2)).
      common: further features, scalars, the same for all tensors.
      own: float32 (tensors, features), for each tensor weights of its own: the sum of normalized
        features with these is added to the first output.

    Returns:
      For each tensor the outputs, of the shape that its features broadcast to.
    """
    sizes = [math.prod(jnp.broadcast_shapes(*(x.shape for x in seen))) for seen in features]
    small = [i for i, size in enumerate(sizes) if size <= _SMALL]
    joined: dict[int, list[jax.Array]] = {}
    if len(small) > 1:
        weights = None if own is None else own[np.array(small)]
        at_once = _joined(layers, [features[i] for i in small], common, weights)
        joined = dict(zip(small, at_once, strict=True))
    return [
        joined[i] if i in joined else _alone(layers, seen, common, None if own is None else own[i])
        for i, seen in enumerate(features)
    ]


def _alone(
    layers: Layers,
    features: Sequence[jax.Array],
    common: Sequence[jax.Array],
    own: jax.Array | None,
) -> list[jax.Array]:
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
    own: jax.Array | None,
) -> list[list[jax.Array]]:
    shapes = [jnp.broadcast_shapes(*(x.shape for x in seen)) for seen in features]
    sizes = np.array([math.prod(shape) for shape in shapes])
    columns = [
        [jnp.broadcast_to(x, shape).reshape(-1) for x in seen]
        for seen, shape in zip(features, shapes, strict=True)
    ]
    rows = jnp.stack([jnp.concatenate(row) for row in zip(*columns, strict=True)])
    member = np.repeat(np.eye(len(shapes), dtype=np.float32), sizes, axis=0)
    means = _product(rows * rows, member / np.maximum(sizes, 1).astype(np.float32)[None])
    rows = rows * _product(lax.rsqrt(1e-5 + means), member.T)
    first, *others = apply(layers, [*rows, *common])
    if own is not None:
        first = first + jnp.sum(rows * _product(own.T, member.T), axis=0)
    ends = np.cumsum(sizes)[:-1].tolist()
    parts = zip(*(jnp.split(output, ends) for output in (first, *others)), strict=True)
    return [
        [part.reshape(shape) for part in outputs]
        for outputs, shape in zip(parts, shapes, strict=True)
    ]


def _product(a: jax.Array, b: np.ndarray) -> jax.Array:
    return jnp.dot(a, jnp.asarray(b), precision=lax.Precision.HIGHEST)


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
