"""Perturbations of the weights of a learned optimizer, many at once, both halves of each pair.

A small array is perturbed as it is. A large matrix that only multiplies rows, x W, is never made:
x (W +- E) = x W +- x E, where W is the same for all and E for both halves, so that a step reads
neither again for each training. There E takes eight tosses of a coin an element, which is near
enough to normal, of the same mean and deviation, and takes a quarter of the random bits; it is
rounded to bfloat16, which halves what a step reads. With a rank, E is low-rank, too,

  E = s A B' / sqrt(rank),  A and B standard normal,

which takes neither memory nor draws of the size of W. Its entries have mean 0, deviation s and no
correlations, as if they were drawn one by one, but they depend on each other: an estimate has the
same mean but for terms of third order in s.

Reference: Sarkar et al., "Evolution strategies at the hyperscale", 2025 (arXiv 2511.16652).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaopt.learned.tensors import LowRank, Shifted

Theta = Any

_LARGE = 2**16
"""Matrices with at least this many elements are kept apart from their perturbations."""


class Factors(NamedTuple):
    """A B', one for each particle.

    Attributes:
      a: (particles, inputs, rank).
      b: (particles, outputs, rank).
    """

    a: jax.Array
    b: jax.Array


class Pairs(NamedTuple):
    """Weights theta + E and theta - E for each particle.

    Attributes:
      theta: like theta; arrays have leading axes (particles, 2), what is kept apart has fewer.
      particles: `in_axes` of a `vmap` over particles.
      halves: of the one inside it, over halves.
    """

    theta: Theta
    particles: Any
    halves: Any


def _is_noise(leaf: Any) -> bool:
    return isinstance(leaf, Factors)


def apart(theta: Theta, linear: frozenset[str]) -> Theta:
    """For each array of theta whether it is kept apart from its perturbation.

    Args:
      theta: the weights.
      linear: names of layers that only multiply rows; see `LearnedOptimizer.linear`.
    """
    if not linear:
        return jax.tree.map(lambda _: False, theta)
    return {
        name: {key: key == "w" and w.size >= _LARGE for key, w in part.items()}
        if name in linear
        else jax.tree.map(lambda _: False, part)
        for name, part in theta.items()
    }


def draw(
    key: jax.Array,
    theta: Theta,
    linear: frozenset[str],
    deviation: float,
    particles: int,
    rank: int,
) -> Theta:
    """A perturbation for each particle: arrays (particles, ...), bfloat16 if large, or `Factors`.

    Args:
      key: what they are drawn from.
      theta: the weights.
      linear: see `apart`.
      deviation: of each element.
      particles: how many.
      rank: of the perturbations of large matrices; 0: full.
    """
    leaves, tree = jax.tree.flatten(theta)
    keys = jax.random.split(key, len(leaves))

    def one(key: jax.Array, w: jax.Array, large: bool) -> jax.Array | Factors:
        if not large:
            return deviation * jax.random.normal(key, (particles, *w.shape), w.dtype)
        if not rank:
            return (deviation * _tossed(key, (particles, *w.shape))).astype(jnp.bfloat16)
        a, b = (
            jax.random.normal(k, (particles, n, rank), w.dtype)
            for k, n in zip(jax.random.split(key), w.shape, strict=True)
        )
        return Factors(a, deviation / rank**0.5 * b)

    drawn = map(one, keys, leaves, jax.tree.leaves(apart(theta, linear)))
    return jax.tree.unflatten(tree, list(drawn))


def _tossed(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Heads in eight tosses, less 4, over sqrt(2): mean 0, variance 1, fourth moment 2.75."""
    size = math.prod(shape)
    words = jax.random.bits(key, (-(-size // 4),), jnp.uint32)
    tosses = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size]
    heads = jax.lax.population_count(tosses).astype(jnp.float32)
    return ((heads - 4.0) * 0.5**0.5).reshape(shape)


def pairs(theta: Theta, noise: Theta, linear: frozenset[str]) -> Pairs:
    """Both halves of the pairs of all particles."""

    def one(w: jax.Array, eps: jax.Array | Factors, large: bool) -> tuple[Any, Any, Any]:
        if isinstance(eps, Factors):
            both = jnp.stack([eps.a, -eps.a], axis=1)
            return LowRank(w, both, eps.b), LowRank(None, 0, 0), LowRank(None, 0, None)
        if large:
            signs = jnp.array([1.0, -1.0], w.dtype)
            return Shifted(w, signs, eps), Shifted(None, None, 0), Shifted(None, 0, None)
        return jnp.stack([w[None] + eps, w[None] - eps], axis=1), 0, 0

    leaves, tree = jax.tree.flatten(theta)
    found = map(one, leaves, tree.flatten_up_to(noise), jax.tree.leaves(apart(theta, linear)))
    return Pairs(*(jax.tree.unflatten(tree, part) for part in zip(*found, strict=True)))


def over(function: Callable, made: Pairs, *axes: tuple[Any, Any]) -> Callable:
    """A function of the weights and more, for all pairs: results lead with (particles, 2).

    Args:
      function: (theta, *arguments).
      made: the pairs.
      axes: for each argument its axes over particles and over halves, as `vmap` takes them.
    """
    inner = jax.vmap(function, (made.halves, *(halves for _, halves in axes)))
    outer = jax.vmap(inner, (made.particles, *(particles for particles, _ in axes)))
    return lambda *arguments: outer(made.theta, *arguments)


def weighted(weight: jax.Array, noise: Theta) -> Theta:
    """The sum of perturbations times weights (particles,), like theta."""

    def one(eps: jax.Array | Factors) -> jax.Array:
        if isinstance(eps, Factors):
            return jnp.einsum("p,pir,por->io", weight, eps.a, eps.b)
        return jnp.tensordot(weight, eps, axes=1)

    return jax.tree.map(one, noise, is_leaf=_is_noise)


def added(total: Theta, noise: Theta) -> Theta:
    """A sum of perturbations, arrays (particles, ...), and one more."""

    def one(eps: jax.Array | Factors, sum_: jax.Array) -> jax.Array:
        if isinstance(eps, Factors):
            return sum_ + jnp.einsum("pir,por->pio", eps.a, eps.b)
        return sum_ + eps

    return jax.tree.map(one, noise, total, is_leaf=_is_noise)
