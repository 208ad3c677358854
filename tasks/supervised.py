"""What tasks with labels share: cross-entropy, held-out evaluation, prediction by frequencies."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.data import Array, Dataset, Examples

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
"""The activation functions a configuration may name."""


def check_activation(name: str) -> None:
    """Raise ValueError unless `name` is in `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: choose one of {', '.join(ACTIVATIONS)}")


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross-entropy in nats of logits (..., classes) with labels (...).

    Labels are spread to one-hot vectors rather than looked up: the gradient of a look-up is a
    scatter-add, which is slow on a CPU under `vmap` and not reproducible on a GPU.
    """
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=-1))


def frequency_loss(train_labels: Array, labels: Array, classes: int) -> float:
    """Loss in nats on `labels` of always predicting the frequencies of `train_labels`.

    Each class counts once more than it occurs (Laplace), so a class that training lacks costs much
    but not infinity.
    """
    counts = np.bincount(train_labels.reshape(-1), minlength=classes) + 1
    log_frequencies = np.log(counts / counts.sum())
    return float(-log_frequencies[labels].mean())


def supervised_task(
    name: str,
    network: nn.Module,
    batch: Callable[[jax.Array], Batch],
    held_out: Mapping[Split, Examples[Array]],
    trivial_loss: float,
) -> Task:
    """A task whose loss is the cross-entropy of a network's logits.

    Args:
      name: the task's name.
      network: a linen module without random state or mutable collections: inputs -> logits (...,
        classes).
      batch: key -> `Examples` of jax arrays.
      held_out: the fixed examples of each split.
      trivial_loss: see `Task`.
    """

    def logits(params: Params, inputs: jax.Array) -> jax.Array:
        return network.apply({"params": params}, inputs)  # pyright: ignore[reportReturnType]

    def init(key: jax.Array) -> Params:
        inputs = jnp.asarray(held_out["validation"].inputs[:1])
        return network.init(key, inputs)["params"]

    def loss(params: Params, batch: Batch) -> jax.Array:
        return cross_entropy(logits(params, batch.inputs), batch.labels)

    def evaluate(params: Params, split: Split) -> jax.Array:
        check_split(split)
        inputs, labels = held_out[split]
        return cross_entropy(logits(params, jnp.asarray(inputs)), jnp.asarray(labels))

    def accuracy(params: Params, split: Split) -> jax.Array:
        check_split(split)
        inputs, labels = held_out[split]
        predicted = jnp.argmax(logits(params, jnp.asarray(inputs)), axis=-1)
        return jnp.mean(predicted == jnp.asarray(labels), dtype=jnp.float32)

    return Task(name, init, batch, loss, evaluate, trivial_loss, accuracy)


def classification_task(name: str, network: nn.Module, dataset: Dataset, batch_size: int) -> Task:
    """A task on a labelled data set; a batch is drawn with replacement."""
    train = dataset.train

    def batch(key: jax.Array) -> Batch:
        chosen = jax.random.randint(key, (batch_size,), 0, len(train.labels), jnp.int32)
        return Examples(jnp.asarray(train.inputs)[chosen], jnp.asarray(train.labels)[chosen])

    return supervised_task(
        name,
        network,
        batch,
        {"validation": dataset.validation, "test": dataset.test},
        frequency_loss(train.labels, dataset.validation.labels, dataset.classes),
    )


class MLP(nn.Module):
    """A multilayer perceptron: (..., features) -> logits (..., classes)."""

    widths: tuple[int, ...]
    classes: int
    activation: str

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden = inputs
        for width in self.widths:
            hidden = ACTIVATIONS[self.activation](nn.Dense(width)(hidden))
        return nn.Dense(self.classes)(hidden)
