"""What tasks without labels share: examples as vectors, their scale, the Bernoulli likelihood."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.data import Array, Dataset


class Vectors(NamedTuple):
    """Examples in three disjoint parts, each float32 (number of examples, dimension)."""

    train: Array
    validation: Array
    test: Array


def flattened(dataset: Dataset) -> Vectors:
    """The inputs of a data set, each as one vector."""
    parts = (dataset.train, dataset.validation, dataset.test)
    return Vectors(*(part.inputs.reshape((len(part.inputs), -1)) for part in parts))


def intensities(vectors: Vectors) -> Vectors:
    """The same in [0, 1]: 0 is the least and 1 the greatest number in training; others are cut."""
    low, high = vectors.train.min(), vectors.train.max()
    return Vectors(*(np.clip((part - low) / (high - low), 0, 1) for part in vectors))


def drawn(key: jax.Array, vectors: Array, batch_size: int) -> jax.Array:
    """Rows of `vectors`, drawn with replacement: (batch_size, dimension)."""
    chosen = jax.random.randint(key, (batch_size,), 0, len(vectors), jnp.int32)
    return jnp.asarray(vectors)[chosen]


def bernoulli_nats(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-t log p - (1 - t) log(1 - p) elementwise, p = sigmoid(logits), targets t in [0, 1]."""
    return jax.nn.softplus(logits) - targets * logits


def mean_logits(train: Array) -> Array:
    """Logits (dimension,) of the mean of `train`, intensities (n, dimension).

    One white and one black example are added (Laplace), so a pixel that training never saw lit
    costs much but not infinity.
    """
    lit = train.sum(axis=0, dtype=np.float64) + 1
    return np.log(lit / (len(train) + 2 - lit))
