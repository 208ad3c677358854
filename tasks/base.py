"""What a task is: a training problem as a handful of pure functions.

An optimizer is judged by what it does on a `Task`: `init` gives parameters, `batch` draws what one
step needs, `loss` is what is minimized, `evaluate` is the score on data the training never sees.
Every function is pure and works under `jax.jit`, `jax.vmap`, `jax.grad` and `jax.lax.scan`; where a
task is built inside a traced function, its numbers may be traced as well, so that `jax.vmap` over
a task's parameters trains a batch of tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, Self, get_args

import jax
import jax.numpy as jnp
import numpy as np

Params = Any
"""A pytree of float32 arrays."""

Batch = Any
"""A pytree of arrays whose structure, shapes and dtypes are the same for every key."""

Split = Literal["validation", "test"]
"""Which held-out set: `validation` guides a search, `test` is only for the final table."""

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Task:
    """One training problem.

    Attributes:
      name: says what the task is, for example `"digits_mlp_32_relu_b32"`.
      init: key -> params, a pytree of float32 arrays (at least two).
      batch: key -> a training batch, computed on the device. It carries everything random that a
        step needs: the drawn examples, or the gradient noise. Examples are drawn with replacement.
      loss: (params, batch) -> scalar float32, deterministic: the mean loss in nats, or the
        objective, shifted so that it cannot be negative. Its gradient is what an optimizer is
        given. (A game's players have a loss each; there the gradient is both players' and the value
        says how far they are from equilibrium.)
      evaluate: (params, split) -> scalar float32, the loss on a fixed held-out set. `split` is a
        static Python string; under `jit` or `vmap` close over it:
        `jax.vmap(lambda params: task.evaluate(params, "validation"))`.
        Raises ValueError for an unknown split.
      trivial_loss: validation loss of the trivial predictor, which ignores its input and predicts
        the frequencies (or the mean) of the training labels; for an objective without data, the
        loss at the origin or another point its family names. An optimizer that ends above it has
        learned nothing.
      accuracy: (params, split) -> scalar float32 in [0, 1], the fraction of held-out labels
        predicted; None where there are no labels.
      delay: how many steps late a gradient reaches the optimizer; see `tasks.augment.delayed`.
    """

    name: str
    init: Callable[[jax.Array], Params]
    batch: Callable[[jax.Array], Batch]
    loss: Callable[[Params, Batch], jax.Array]
    evaluate: Callable[[Params, Split], jax.Array]
    trivial_loss: float
    accuracy: Callable[[Params, Split], jax.Array] | None = None
    delay: int = 0


class TaskConfig(Protocol):
    """A frozen dataclass that describes one task; equal names mean equal configurations.

    Its fields are JSON values: numbers, strings, booleans, and tuples of them.
    """

    @property
    def name(self) -> str: ...

    def build(self) -> Task: ...


class FamilyConfig(TaskConfig, Protocol):
    """The configuration of a family's tasks, which can also be drawn."""

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        """A configuration drawn from the family's distribution; every draw can be built."""
        ...


def dataset_task(
    name: str,
    init: Callable[[jax.Array], Params],
    batch: Callable[[jax.Array], Batch],
    loss: Callable[[Params, Batch], jax.Array],
    held_out: Mapping[Split, Batch],
    trivial_loss: float,
    accuracy: Callable[[Params, Batch], jax.Array] | None = None,
) -> Task:
    """A task whose held-out score is its training loss on a fixed batch of each split.

    Args:
      name: see `Task`.
      init: see `Task`.
      batch: see `Task`.
      loss: see `Task`.
      held_out: for each split a batch of NumPy arrays, of any size, with all that is random in it
        drawn once and for all.
      trivial_loss: see `Task`.
      accuracy: (params, batch) -> scalar float32.
    """

    def fixed(split: Split) -> Batch:
        check_split(split)
        return jax.tree.map(jnp.asarray, held_out[split])

    def evaluate(params: Params, split: Split) -> jax.Array:
        return loss(params, fixed(split))

    def held_out_accuracy(params: Params, split: Split) -> jax.Array:
        assert accuracy is not None
        return accuracy(params, fixed(split))

    return Task(
        name,
        init,
        batch,
        loss,
        evaluate,
        trivial_loss,
        None if accuracy is None else held_out_accuracy,
    )


def check_split(split: str) -> None:
    """Raise ValueError unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(
            f"unknown split {split!r}: a task is evaluated on one of {', '.join(SPLITS)}; "
            "training data is reached through Task.batch only"
        )


# ---------------------------------------------------------------- what a task says of itself

_SEEDS_OF_INITIAL_LOSS = 8


def parameter_count(task: Task) -> int:
    """The number of scalar parameters of `task`, found without computing any."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@lru_cache(maxsize=1024)
def step_flops(task: Task) -> int:
    """Floating-point operations of one loss and gradient, as XLA counts them before optimizing."""
    params = jax.eval_shape(task.init, jax.random.key(0))
    batch = jax.eval_shape(task.batch, jax.random.key(0))
    lowered = jax.jit(jax.value_and_grad(task.loss)).lower(params, batch)
    cost = lowered.cost_analysis() or {}
    return int(cost.get("flops", 0))


@lru_cache(maxsize=1024)
def initial_loss(task: Task) -> float:
    """Validation loss at initialization, mean over eight seeds."""
    keys = jax.random.split(jax.random.key(0), _SEEDS_OF_INITIAL_LOSS)

    def loss(key: jax.Array) -> jax.Array:
        return task.evaluate(task.init(key), "validation")

    # Runs once: optimizing the program would take longer than running it.
    quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    return float(
        jnp.mean(jax.jit(lambda keys: jax.lax.map(loss, keys), compiler_options=quick)(keys))
    )
