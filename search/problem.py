"""A task as the search sees it: its parameters one flat float32 vector."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import tasks
from search.training import initial_key, step_key


@dataclass(frozen=True, eq=False)
class Problem:
    """A task over flat parameters of P elements.

    Attributes:
      name: the task's name.
      sizes: number of elements of each parameter tensor, in the order of the vector.
      trivial_loss: loss of the predictor that ignores its input; the unit of fitness.
      init: seed, int32 -> float32 `(P,)`.
      gradient: params `(P,)`, seed, 0-based step, int32 -> loss, gradient `(P,)`, on the batch
        that this seed draws at this step.
      evaluate: params, split -> loss on the held-out set `split` (static).
    """

    name: str
    sizes: tuple[int, ...]
    trivial_loss: float
    init: Callable[[jax.Array], jax.Array]
    gradient: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    evaluate: Callable[[jax.Array, tasks.Split], jax.Array]

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(self.sizes)


@cache
def problem(name: str) -> Problem:
    """The problem of a named task.

    Raises:
      KeyError: there is no such task; the message names near matches.
    """
    task = tasks.get(name)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    sizes = tuple(leaf.size for leaf in jax.tree.leaves(shapes))
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))

    def init(seed: jax.Array) -> jax.Array:
        flat, _ = ravel_pytree(task.init(initial_key(seed)))
        return flat

    def gradient(
        params: jax.Array, seed: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        batch = task.batch(step_key(seed, step))
        with jax.default_matmul_precision("float32"):  # the same numbers on every platform
            return jax.value_and_grad(lambda flat: task.loss(unravel(flat), batch))(params)

    def evaluate(params: jax.Array, split: tasks.Split) -> jax.Array:
        with jax.default_matmul_precision("float32"):
            return task.evaluate(unravel(params), split)

    return Problem(name, sizes, task.trivial_loss, init, gradient, evaluate)
