"""Estimates of the gradient of a meta-loss with respect to the weights of a learned optimizer.

With L the mean loss over a truncation of K steps, eps ~ N(0, s^2 I) drawn anew for each particle
and truncation, and both halves of an antithetic pair on the same data:

  truncated_es   eps (L(theta + eps) - L(theta - eps)) / (2 s^2)
  pes            the same with A, the sum of all eps since the training began, in place of eps
  es_single      the same with one eps for the whole training
  full_es        the same with one eps, L a loss of the whole training
  backprop       dL / dtheta, through the truncation

averaged over particles. `truncated_es` and truncated `backprop` are biased, since they do not see
what a truncation does to later ones; the others are not, but for the smoothing by s.

References: Vicol et al., "Unbiased gradient estimation in unrolled computation graphs with
persistent evolution strategies", 2021 (arXiv 2112.13835); Vicol, "Low-variance gradient estimation
in unrolled computation graphs with ES-Single", 2023 (arXiv 2304.11153).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from search.meta import perturb
from search.meta.config import Delta, EstimatorConfig
from search.meta.inner import Inner, Theta
from search.meta.perturb import Pairs

Tree = Any


class Lengths(NamedTuple):
    """Lengths of trainings are log-uniform between two bounds, each a float32 scalar."""

    shortest: Any
    longest: Any


class Metrics(NamedTuple):
    """What an estimate saw, float32 scalars.

    Attributes:
      loss: mean normalized loss, of both halves of each pair.
      delta: root mean square of the differences between the halves.
      broken: fraction of the losses that were not finite.
      ended: trainings that came to their end.
      steps: inner steps that were run.
    """

    loss: Any
    delta: Any
    broken: Any
    ended: Any
    steps: Any


class Estimate(NamedTuple):
    """A gradient, like theta; trainings to go on with; and what was seen."""

    gradient: Theta
    carry: Tree
    metrics: Metrics


class Estimator(NamedTuple):
    """A way to estimate gradients.

    Attributes:
      start: (theta, key) -> carry, where nothing is under way.
      estimate: (theta, carry, key, lengths) -> `Estimate`.
    """

    start: Callable[[Theta, jax.Array], Tree]
    estimate: Callable[[Theta, Tree, jax.Array, Lengths], Estimate]


def estimator(config: EstimatorConfig, inner: Inner, particles: int) -> Estimator:
    """The estimator that a configuration describes."""
    if config.method == "full_es":
        return _full(config, inner, particles)
    if config.method == "backprop":
        return _through(config, inner, particles)
    return _truncated(config, inner, particles)


# ---------------------------------------------------------------- trainings under way


class Carry(NamedTuple):
    """Trainings under way, one a particle.

    Attributes:
      states: of the inner problem, leading axes (particles, halves), or (particles,).
      done: int32 (particles,), steps so far.
      length: int32 (particles,), steps in all; 0 before the first training.
      keys: (particles,), what the training draws from.
      perturbation: like theta with a leading axis (or as drawn), what the estimate multiplies: the
        sum of the perturbations so far, or the one of the training.
    """

    states: Tree
    done: jax.Array
    length: jax.Array
    keys: jax.Array
    perturbation: Theta


def _renewed(
    carry: Carry,
    begin: Callable[[jax.Array, jax.Array], Tree],
    key: jax.Array,
    lengths: Lengths,
    truncation: int,
) -> Carry:
    """New trainings in place of those that have ended.

    The first training of a particle is cut short at random: particles that began together would
    otherwise stay together.
    """
    particles = carry.done.shape[0]
    ended = carry.done >= carry.length
    keys = jax.random.split(jax.random.fold_in(key, 0), particles)
    length = _drawn(jax.random.fold_in(key, 1), lengths, (particles,), truncation)
    share = jax.random.uniform(jax.random.fold_in(key, 2), (particles,))
    cut = truncation * jnp.ceil(share * (length // truncation)).astype(jnp.int32)
    length = jnp.where(carry.length == 0, jnp.maximum(truncation, cut), length)
    fresh = Carry(
        begin(keys, length),
        jnp.zeros_like(carry.done),
        length,
        keys,
        jax.tree.map(jnp.zeros_like, carry.perturbation),
    )
    return jax.tree.map(lambda new, old: _where(ended, new, old), fresh, carry)


def _where(condition: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    """`new` for the particles that meet a condition."""
    return jnp.where(condition.reshape(-1, *(1 for _ in new.shape[1:])), new, old)


def _drawn(key: jax.Array, lengths: Lengths, shape: tuple[int, ...], unit: int) -> jax.Array:
    """Lengths, int32, multiples of a unit."""
    low, high = jnp.log(lengths.shortest), jnp.log(lengths.longest)
    drawn = jnp.exp(low + (high - low) * jax.random.uniform(key, shape))
    return jnp.maximum(unit, unit * jnp.round(drawn / unit)).astype(jnp.int32)


def _empty(begin: Callable[[jax.Array, jax.Array], Tree], kept: Tree, particles: int) -> Carry:
    """Nothing under way; `kept` is like what is kept of perturbations."""
    keys = jax.random.split(jax.random.key(0), particles)
    nothing = jnp.zeros(particles, jnp.int32)
    states = jax.eval_shape(begin, keys, nothing)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (states, kept))
    return Carry(zeros[0], nothing, nothing, keys, zeros[1])


def _zeros(theta: Theta, particles: int) -> Theta:
    """Sums of perturbations before any, one a particle."""
    return jax.tree.map(lambda w: jnp.zeros((particles, *w.shape), w.dtype), theta)


# ---------------------------------------------------------------- evolution strategies


def _drawn_noise(
    key: jax.Array, theta: Theta, config: EstimatorConfig, inner: Inner, particles: int
) -> Theta:
    return perturb.draw(key, theta, inner.linear, config.deviation, particles, config.rank)


def _advance(inner: Inner, made: Pairs) -> Callable:
    """(states, keys) -> states and losses, (particles, 2): both halves with the same key."""
    return perturb.over(inner.step, made, (0, 0), (0, None))


def _begun(inner: Inner, made: Pairs) -> Callable[[jax.Array, jax.Array], Tree]:
    return perturb.over(inner.begin, made, (0, None), (0, None))


def _weighted(losses: jax.Array, noise: Theta, config: EstimatorConfig) -> tuple[Theta, jax.Array]:
    """The gradient from the losses of pairs (particles, 2), and the pairs' differences."""
    delta = losses[:, 0] - losses[:, 1]
    weight = _transformed(delta, config.delta) / (2 * config.deviation**2 * delta.shape[0])
    return perturb.weighted(weight, noise), delta


def _transformed(delta: jax.Array, how: Delta) -> jax.Array:
    if how == "sign":
        return jnp.sign(delta)
    if how == "unit":
        return delta * jax.lax.rsqrt(jnp.mean(delta * delta) + 1e-20)
    return delta


def _truncated(config: EstimatorConfig, inner: Inner, particles: int) -> Estimator:
    def start(theta: Theta, key: jax.Array) -> Carry:
        kept = noise = _drawn_noise(key, theta, config, inner, particles)
        if config.method == "pes":
            kept = _zeros(theta, particles)
        made = perturb.pairs(theta, noise, inner.linear)
        return _empty(_begun(inner, made), kept, particles)

    def estimate(theta: Theta, carry: Carry, key: jax.Array, lengths: Lengths) -> Estimate:
        drawn = _drawn_noise(jax.random.fold_in(key, 0), theta, config, inner, particles)
        if config.method == "es_single":
            ended = carry.done >= carry.length
            drawn = jax.tree.map(
                lambda new, old: _where(ended, new, old), drawn, carry.perturbation
            )
        made = perturb.pairs(theta, drawn, inner.linear)
        advance = _advance(inner, made)
        carry = _renewed(
            carry, _begun(inner, made), jax.random.fold_in(key, 1), lengths, config.truncation
        )

        def body(states: Tree, k: jax.Array) -> tuple[Tree, jax.Array]:
            keys = jax.vmap(jax.random.fold_in)(carry.keys, carry.done + k)
            return advance(states, keys)

        states, losses = jax.lax.scan(body, carry.states, jnp.arange(config.truncation))
        losses, broken = _finite(losses, inner.worst)
        perturbation = drawn
        if config.method == "pes":
            perturbation = perturb.added(carry.perturbation, drawn)
        gradient, delta = _weighted(jnp.mean(losses, axis=0), perturbation, config)
        carry = carry._replace(
            states=states, done=carry.done + config.truncation, perturbation=perturbation
        )
        return Estimate(gradient, carry, _metrics(losses, delta, broken, carry))

    return Estimator(start, estimate)


def _full(config: EstimatorConfig, inner: Inner, particles: int) -> Estimator:
    def start(theta: Theta, key: jax.Array) -> None:
        del theta, key

    def estimate(theta: Theta, carry: None, key: jax.Array, lengths: Lengths) -> Estimate:
        drawn = _drawn_noise(jax.random.fold_in(key, 0), theta, config, inner, particles)
        made = perturb.pairs(theta, drawn, inner.linear)
        advance = _advance(inner, made)
        keys = jax.random.split(jax.random.fold_in(key, 1), particles)
        length = _drawn(jax.random.fold_in(key, 2), lengths, (), config.truncation)
        zeros = jnp.zeros((particles, 2), jnp.float32)

        def body(k: jax.Array, at: tuple[Tree, jax.Array, jax.Array, jax.Array]) -> tuple:
            states, total, lowest, broken = at
            states, losses = advance(states, jax.vmap(jax.random.fold_in, (0, None))(keys, k))
            losses, now = _finite(losses, inner.worst)
            return states, total + losses, jnp.minimum(lowest, losses), broken + now / length

        begun = _begun(inner, made)(keys, jnp.broadcast_to(length, (particles,)))
        # The number of steps is data: every length shares one compiled program.
        states, total, lowest, broken = jax.lax.fori_loop(
            0, length, body, (begun, zeros, zeros + jnp.inf, jnp.float32(0.0))
        )
        if config.loss in ("end", "validation"):
            ends = jax.vmap(jax.random.fold_in, (0, None))(keys, length)
            finish = perturb.over(inner.final, made, (0, 0), (0, None))
            losses, broken = _finite(finish(states, ends), inner.worst)
        else:
            losses = total / length if config.loss == "mean" else lowest
        gradient, delta = _weighted(losses, drawn, config)
        metrics = Metrics(
            jnp.mean(losses),
            jnp.sqrt(jnp.mean(delta * delta)),
            broken,
            jnp.float32(2 * particles),
            2.0 * particles * length,
        )
        return Estimate(gradient, carry, metrics)

    return Estimator(start, estimate)


# ---------------------------------------------------------------- backpropagation


def _through(config: EstimatorConfig, inner: Inner, particles: int) -> Estimator:
    def begun(theta: Theta) -> Callable[[jax.Array, jax.Array], Tree]:
        return lambda keys, length: jax.vmap(inner.begin, (None, 0, 0))(theta, keys, length)

    def start(theta: Theta, key: jax.Array) -> Carry:
        del key
        return _empty(begun(theta), _zeros(theta, particles), particles)

    def estimate(theta: Theta, carry: Carry, key: jax.Array, lengths: Lengths) -> Estimate:
        carry = _renewed(
            carry, begun(theta), jax.random.fold_in(key, 1), lengths, config.truncation
        )

        def loss(
            theta: Theta, state: Tree, key: jax.Array, done: jax.Array, length: jax.Array
        ) -> tuple[jax.Array, tuple[Tree, jax.Array]]:
            # What a training begins with may depend on theta, so it is begun again in here.
            fresh = inner.begin(theta, key, length)
            state = jax.tree.map(lambda new, old: jnp.where(done == 0, new, old), fresh, state)

            def body(state: Tree, k: jax.Array) -> tuple[Tree, jax.Array]:
                return inner.step(theta, state, jax.random.fold_in(key, done + k))

            state, losses = jax.lax.scan(jax.checkpoint(body), state, jnp.arange(config.truncation))
            return jnp.mean(losses), (state, losses)

        # A gradient for each training, so that those that diverge can be left out.
        gradients, (states, losses) = jax.vmap(jax.grad(loss, has_aux=True), (None, 0, 0, 0, 0))(
            theta, carry.states, carry.keys, carry.done, carry.length
        )
        gradient = _mean_of_finite(gradients)
        losses, broken = _finite(losses.T, inner.worst)
        carry = carry._replace(states=states, done=carry.done + config.truncation)
        return Estimate(gradient, carry, _metrics(losses, jnp.zeros(1), broken, carry))

    return Estimator(start, estimate)


def _mean_of_finite(trees: Tree) -> Tree:
    """The mean over the leading axis, without the trees that hold what is no number."""
    each = [jnp.isfinite(x).all(axis=tuple(range(1, x.ndim))) for x in jax.tree.leaves(trees)]
    finite = jnp.stack(each).all(axis=0)
    count = jnp.maximum(1, finite.sum())
    return jax.tree.map(lambda x: _where(finite, x, jnp.zeros_like(x)).sum(axis=0) / count, trees)


def _finite(losses: jax.Array, worst: float) -> tuple[jax.Array, jax.Array]:
    """Losses, the worst in place of those that are not finite; and the fraction of these."""
    finite = jnp.isfinite(losses)
    return jnp.where(finite, losses, worst), jnp.mean(~finite)


def _metrics(losses: jax.Array, delta: jax.Array, broken: jax.Array, carry: Carry) -> Metrics:
    return Metrics(
        jnp.mean(losses),
        jnp.sqrt(jnp.mean(delta * delta)),
        broken,
        jnp.sum(carry.done >= carry.length).astype(jnp.float32),
        jnp.float32(losses.size),
    )
