"""What tasks with labels share: their losses, label noise, prediction by frequencies."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, dataset_task
from tasks.data import Array, Dataset, Examples

_SLICE = 1000

Loss = Literal["cross_entropy", "brier", "squared"]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross-entropy in nats of logits (..., classes) with labels (...).

    Labels are spread to one-hot vectors rather than looked up, for the reason in
    `tasks.layers.look_up`.
    """
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=-1))


def brier(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean squared distance of the softmax of logits (..., classes) to one-hot labels (...)."""
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return jnp.mean(jnp.sum((jax.nn.softmax(logits) - one_hot) ** 2, axis=-1))


def squared(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared error of outputs (..., 1) to real targets (...)."""
    return jnp.mean((outputs[..., 0] - targets) ** 2)


def frequency_loss(train_labels: Array, labels: Array, classes: int) -> float:
    """Loss in nats on `labels` of always predicting the frequencies of `train_labels`.

    Each class counts once more than it occurs (Laplace), so a class that training lacks costs much
    but not infinity.
    """
    counts = np.bincount(train_labels.reshape(-1), minlength=classes) + 1
    log_frequencies = np.log(counts / counts.sum())
    return float(-log_frequencies[labels].mean())


def frequency_brier(train_labels: Array, labels: Array, classes: int) -> float:
    """The same for the Brier score: squared distance of the frequencies to one-hot labels."""
    counts = np.bincount(train_labels.reshape(-1), minlength=classes) + 1
    frequencies = counts / counts.sum()
    return float(np.mean(1 - 2 * frequencies[labels]) + np.sum(frequencies**2))


def mean_loss(train_targets: Array, targets: Array, _: int) -> float:
    """Mean squared error on `targets` of always predicting the mean of `train_targets`."""
    return float(np.mean((targets - train_targets.mean()) ** 2))


class Criterion(NamedTuple):
    """A loss, and what it gives the trivial predictor: (train labels, labels, classes) -> loss."""

    loss: Callable[[jax.Array, jax.Array], jax.Array]
    trivial: Callable[[Array, Array, int], float]


LOSSES: Mapping[str, Criterion] = {
    "cross_entropy": Criterion(cross_entropy, frequency_loss),
    "brier": Criterion(brier, frequency_brier),
    "squared": Criterion(squared, mean_loss),
}
"""The losses a configuration may name: the first two for classes, the last for real targets."""


def supervised_task(
    name: str,
    network: nn.Module,
    batch: Callable[[jax.Array], Batch],
    held_out: Mapping[Split, Examples[Array]],
    trivial_loss: float,
    loss: Loss = "cross_entropy",
) -> Task:
    """A task whose loss compares a network's outputs with labels.

    Args:
      name: the task's name.
      network: a linen module without random state or mutable collections: inputs -> logits (...,
        classes), or outputs (..., 1) where targets are real.
      batch: key -> `Examples` of jax arrays.
      held_out: the fixed examples of each split.
      trivial_loss: see `Task`.
      loss: a name in `LOSSES`.
    """

    def outputs(params: Params, inputs: jax.Array) -> jax.Array:
        return network.apply({"params": params}, inputs)  # pyright: ignore[reportReturnType]

    def init(key: jax.Array) -> Params:
        inputs = jnp.asarray(held_out["validation"].inputs[:1])
        return network.init(key, inputs)["params"]

    @_in_slices
    def loss_on(params: Params, batch: Batch) -> jax.Array:
        return LOSSES[loss].loss(outputs(params, batch.inputs), batch.labels)

    @_in_slices
    def accuracy(params: Params, batch: Batch) -> jax.Array:
        predicted = jnp.argmax(outputs(params, batch.inputs), axis=-1)
        return jnp.mean(predicted == batch.labels, dtype=jnp.float32)

    counted = None if loss == "squared" else accuracy
    return dataset_task(name, init, batch, loss_on, held_out, trivial_loss, counted)


def _in_slices(mean: Callable[[Params, Batch], jax.Array]) -> Callable[[Params, Batch], jax.Array]:
    """The same mean over examples, of many a thousand at a time: all would fill the memory."""

    def of_slices(params: Params, batch: Batch) -> jax.Array:
        count = len(batch.labels)
        if count <= 2 * _SLICE or count % _SLICE:
            return mean(params, batch)
        slices = jax.tree.map(lambda x: x.reshape((-1, _SLICE, *x.shape[1:])), batch)
        return jnp.mean(jax.lax.map(lambda part: mean(params, part), slices))

    return of_slices


def classification_task(
    name: str,
    network: nn.Module,
    dataset: Dataset,
    batch_size: int,
    loss: Loss = "cross_entropy",
    label_noise: float = 0.0,
) -> Task:
    """A task on a labelled data set; a batch is drawn with replacement.

    Args:
      name: the task's name.
      network: see `supervised_task`.
      dataset: the data.
      batch_size: examples a batch.
      loss: a name in `LOSSES`; real targets have the squared error whatever it is.
      label_noise: probability with which a training label is replaced by a random class; held-out
        labels stay as they are.
    """
    train = dataset.train
    if not dataset.classes:
        loss = "squared"

    def batch(key: jax.Array) -> Batch:
        chosen = jax.random.randint(key, (batch_size,), 0, len(train.labels), jnp.int32)
        labels = jnp.asarray(train.labels)[chosen]
        if label_noise:
            which, what = jax.random.split(jax.random.fold_in(key, 1))
            wrong = jax.random.bernoulli(which, label_noise, (batch_size,))
            random = jax.random.randint(what, (batch_size,), 0, dataset.classes, labels.dtype)
            labels = jnp.where(wrong, random, labels)
        return Examples(jnp.asarray(train.inputs)[chosen], labels)

    trivial = LOSSES[loss].trivial(train.labels, dataset.validation.labels, dataset.classes)
    held_out: dict[Split, Examples[Array]] = {
        "validation": dataset.validation,
        "test": dataset.test,
    }
    return supervised_task(name, network, batch, held_out, trivial, loss)
