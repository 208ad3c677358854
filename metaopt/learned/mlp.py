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

_FEW, _SMALL = 4, 2**16
"""More tensors than the one, with no more elements than the other, are evaluated at once."""


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
    hidden = list(features)
    for i, layer in enumerate(layers):
        # A compiler may compute a unit again for each unit that takes it, and so on upwards: XLA
        # then needs minutes to compile a perceptron for a GPU, and it is no faster for that.
        hidden = list(lax.optimization_barrier(tuple(hidden)))
        narrow = layer["w"].shape[1] <= _UNROLLED
        hidden = (_summed if narrow else _multiplied)(layer, hidden)
        if i + 1 < len(layers):
            hidden = [jax.nn.relu(x) for x in hidden]
    return hidden


def _summed(layer: dict[str, jax.Array], inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """A layer as sums over inputs of the same shape, the smallest first."""
    order = sorted(range(len(inputs)), key=lambda i: (inputs[i].size, inputs[i].shape))
    shapes = [list(same) for _, same in itertools.groupby(order, lambda i: inputs[i].shape)]

    def unit(u: int) -> jax.Array:
        total = layer["b"][u]
        for same in shapes:
            total = total + sum(layer["w"][i, u] * inputs[i] for i in same)
        return total

    return [unit(u) for u in range(layer["b"].shape[0])]


def _multiplied(layer: dict[str, jax.Array], inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """A layer as one matrix product, inputs and outputs on the first axis."""
    shape = jnp.broadcast_shapes(*(x.shape for x in inputs))
    stacked = jnp.stack([jnp.broadcast_to(x, shape) for x in inputs])
    outputs = jnp.tensordot(layer["w"], stacked, axes=(0, 0))
    return list(outputs + layer["b"].reshape(-1, *(1 for _ in shape)))


def over_tensors(
    perceptrons: Sequence[Layers],
    features: Sequence[Sequence[jax.Array]],
    common: Sequence[jax.Array] = (),
) -> list[list[list[jax.Array]]]:
    """The outputs of perceptrons that are the same for several tensors.

    Many small tensors are evaluated at once, as if they were one, which is quicker to compile and
    takes fewer kernels; large ones each for themselves, since that copies nothing.

    Args:
      perceptrons: their weights.
      features: for each tensor its features, which are normalized here: x rsqrt(1e-5 + mean(x^2)).
      common: further features, scalars, the same for all tensors.

    Returns:
      For each perceptron and tensor the outputs, of the shape that the features broadcast to.
    """
    sizes = [math.prod(jnp.broadcast_shapes(*(x.shape for x in seen))) for seen in features]
    if len(sizes) > _FEW and sum(sizes) <= _SMALL:
        return _joined(perceptrons, features, common)
    scales = [[scale(x) for x in seen] for seen in features]
    return [
        [
            apply(normalized(layers, of_tensor), [*seen, *common])
            for seen, of_tensor in zip(features, scales, strict=True)
        ]
        for layers in perceptrons
    ]


def _joined(
    perceptrons: Sequence[Layers],
    features: Sequence[Sequence[jax.Array]],
    common: Sequence[jax.Array],
) -> list[list[list[jax.Array]]]:
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
    ends = np.cumsum(sizes)[:-1].tolist()
    found = []
    for layers in perceptrons:
        parts = [jnp.split(output, ends) for output in apply(layers, [*rows, *common])]
        found.append(
            [
                [part.reshape(shape) for part in of_tensor]
                for of_tensor, shape in zip(zip(*parts, strict=True), shapes, strict=True)
            ]
        )
    return found


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
