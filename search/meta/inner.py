"""A training with a learned optimizer, as pure functions of its weights."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.learned import LearnedOptimizer
from search.meta.config import EstimatorConfig, Normalization
from tasks import Params, Task
from tasks.augment import delayed, reparametrized

Theta = Any

_BEFORE = 2**32 - 1
"""What is drawn before the first step is drawn from a key that no step has."""


class Inner(NamedTuple):
    """An inner problem.

    Attributes:
      begin: (theta, key, length) -> the state before the first step; length is int32 ().
      step: (theta, state, key) -> the next state, and the loss before the step, float32 ().
      final: (theta, state, key) -> the loss that the training has come to, float32 ().
      worst: what a loss that is not finite counts as.
      linear: see `LearnedOptimizer.linear`.
    """

    begin: Callable[[Theta, jax.Array, jax.Array], Any]
    step: Callable[[Theta, Any, jax.Array], tuple[Any, jax.Array]]
    final: Callable[[Theta, Any, jax.Array], jax.Array]
    worst: float
    linear: frozenset[str] = frozenset()


class Training(NamedTuple):
    """A training under way.

    Attributes:
      params: the parameters.
      optimizer: the state of the optimizer.
      length: int32 (), steps that it will have in all.
      scales: a scalar for each tensor, the units that its parameters are given in.
    """

    params: Params
    optimizer: Any
    length: jax.Array
    scales: Params


def training(
    network: LearnedOptimizer,
    task: Task,
    *,
    spread: float = 1.0,
    fresh: int = 1,
    held_back: bool = False,
    normalization: Normalization = EstimatorConfig.normalization,
    floor: float = EstimatorConfig.floor,
) -> Inner:
    """The inner problem of training a task.

    Args:
      network: the learned optimizer.
      task: the task.
      spread: see `CurriculumConfig`.
      fresh: batches that the loss at the end is a mean of.
      held_back: the loss at the end is that of the task's validation split instead.
      normalization: how losses are normalized; see `normalized`.
      floor: see `normalized`.
    """
    shapes = jax.eval_shape(task.init, jax.random.key(0))

    def scaled(scales: Params) -> Task:
        return task if spread == 1.0 else reparametrized(task, scales)

    def optimizer(theta: Theta, length: jax.Array) -> optax.GradientTransformationExtraArgs:
        bound = network.bind(theta, num_steps=length, compact=False)
        if task.delay:
            return optax.with_extra_args_support(optax.chain(delayed(task.delay), bound))
        return bound

    def begin(theta: Theta, key: jax.Array, length: jax.Array) -> Training:
        for_scales, for_params = jax.random.split(jax.random.fold_in(key, _BEFORE))
        scales = _scales(for_scales, shapes, spread)
        params = scaled(scales).init(for_params)
        return Training(params, optimizer(theta, length).init(params), length, scales)

    def step(theta: Theta, state: Training, key: jax.Array) -> tuple[Training, jax.Array]:
        ours = scaled(state.scales)
        loss, gradient = jax.value_and_grad(ours.loss)(state.params, task.batch(key))
        updates, new = optimizer(theta, state.length).update(
            gradient, state.optimizer, state.params, value=loss
        )
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, optimizer=new), normalize(loss)

    def final(theta: Theta, state: Training, key: jax.Array) -> jax.Array:
        del theta
        ours = scaled(state.scales)
        if held_back:
            return normalize(ours.evaluate(state.params, "validation"))
        losses = jax.lax.map(
            lambda key: ours.loss(state.params, task.batch(key)), jax.random.split(key, fresh)
        )
        return normalize(jnp.mean(losses))

    def normalize(loss: jax.Array) -> jax.Array:
        return normalized(loss, task.trivial_loss, normalization, floor)

    worst = float(normalize(jnp.float32(jnp.inf)))
    return Inner(begin, step, final, worst, network.linear)


def _scales(key: jax.Array, shapes: Params, spread: float) -> Params:
    """Units at random; see `CurriculumConfig.spread`."""
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, 4)
    one = jax.random.uniform(keys[0], (), jnp.float32, -1.0, 1.0)
    each = jax.random.uniform(keys[1], (len(leaves),), jnp.float32, -1.0, 1.0)
    exponents = one * jax.random.bernoulli(keys[2]) + each * jax.random.bernoulli(keys[3])
    return jax.tree.unflatten(tree, list(jnp.exp(exponents * math.log(spread))))


# ---------------------------------------------------------------- losses of different tasks

_WORST = 1e6


def normalized(loss: jax.Array, trivial: float, how: Normalization, floor: float) -> jax.Array:
    """A loss, comparable with those of other tasks; NaN stays NaN.

    Args:
      loss: float32 ().
      trivial: the loss of the trivial predictor, positive.
      how: `clipped`, the loss itself, at most 1.5 times the trivial one; `relative`, x, the ratio
        of the two, or 1 + log(x) above 1; `log`, log(x + floor); x is cut at a million.
      floor: ratios that are much smaller are all alike to `log`.
    """
    if how == "clipped":
        return jnp.clip(loss, 0.0, 1.5 * trivial)
    ratio = jnp.clip(loss / trivial, 0.0, _WORST)
    if how == "log":
        return jnp.log(ratio + floor)
    return jnp.where(ratio <= 1.0, ratio, 1.0 + jnp.log(jnp.maximum(ratio, 1.0)))
