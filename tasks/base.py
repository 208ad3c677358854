"""What a task is: a training problem as a handful of pure functions.

An optimizer is judged by what it does on a `Task`: `init` gives parameters, `batch` draws what one
step needs, `loss` is what is minimized, `evaluate` is the score on data the training never sees.
Every function is pure and works under `jax.jit`, `jax.vmap`, `jax.grad` and `jax.lax.scan`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax

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
        objective.
      evaluate: (params, split) -> scalar float32, the loss on a fixed held-out set. `split` is a
        static Python string; under `jit` or `vmap` close over it:
        `jax.vmap(lambda params: task.evaluate(params, "validation"))`.
        Raises ValueError for an unknown split.
      trivial_loss: validation loss of the trivial predictor, which ignores its input and predicts
        the frequencies of the training labels; for an objective without data, the loss at the
        origin. An optimizer that ends above it has learned nothing.
      accuracy: (params, split) -> scalar float32 in [0, 1], the fraction of held-out labels
        predicted; None where there are no labels.
    """

    name: str
    init: Callable[[jax.Array], Params]
    batch: Callable[[jax.Array], Batch]
    loss: Callable[[Params, Batch], jax.Array]
    evaluate: Callable[[Params, Split], jax.Array]
    trivial_loss: float
    accuracy: Callable[[Params, Split], jax.Array] | None = None


def parameter_count(task: Task) -> int:
    """The number of scalar parameters of `task`, found without computing any."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def check_split(split: str) -> None:
    """Raise ValueError unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(
            f"unknown split {split!r}: a task is evaluated on one of {', '.join(SPLITS)}; "
            "training data is reached through Task.batch only"
        )
