"""How data is held: arrays in disjoint parts, split once and for all.

Splits are fixed by seeds written here, and are the same on every platform.
"""

from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AnyArray = TypeVar("AnyArray")

_SPLIT_SEED = 2024


class Examples(NamedTuple, Generic[AnyArray]):
    """Inputs and their labels, aligned on the first axis: NumPy arrays here, jax's in a batch."""

    inputs: AnyArray
    labels: AnyArray


class Dataset(NamedTuple):
    """Labelled examples in three disjoint parts.

    Inputs are float32 (number of examples, *shape), standardized by the training part; labels are
    int32 (number of examples,) in [0, classes), or float32 (number of examples,) standardized
    targets where `classes` is 0.
    """

    train: Examples[Array]
    validation: Examples[Array]
    test: Examples[Array]
    classes: int

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: a logit for each class, or the target."""
        return self.classes or 1


class Corpus(NamedTuple):
    """A text as token ids, cut into contiguous parts.

    The parts are uint8 or uint16 (length,) with values in [0, len(vocabulary)); id i stands for
    `vocabulary[i]`, a byte or a word.
    """

    train: Array
    validation: Array
    test: Array
    vocabulary: bytes | tuple[str, ...]


def stratified_split(
    labels: Array, validation: int, test: int, seed: int
) -> tuple[Array, Array, Array]:
    """Split example indices into parts of exact sizes with nearly equal class proportions.

    Examples are ordered by class, at random within a class; then every (n / test)-th goes to test,
    and of the rest every (n / validation)-th to validation (systematic sampling).

    Args:
      labels: integers (n,).
      validation: the number of validation examples.
      test: the number of test examples.
      seed: fixes the order within a class.

    Returns:
      Sorted index arrays: training, validation, test.
    """
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    in_test = _spread(len(order), test)
    rest = order[~in_test]
    in_validation = _spread(len(rest), validation)
    return np.sort(rest[~in_validation]), np.sort(rest[in_validation]), np.sort(order[in_test])


def _spread(length: int, chosen: int) -> npt.NDArray[np.bool_]:
    """A mask with exactly `chosen` of `length` places true, evenly spread."""
    return np.diff(np.arange(length + 1) * chosen // length) > 0


def standardized(
    inputs: Array, labels: Array, scale: Literal["feature", "global"], validation: int, test: int
) -> Dataset:
    """Split, and standardize by the training part, each feature alone or all together."""
    train, *held_out = stratified_split(labels, validation, test, _SPLIT_SEED)
    axis = 0 if scale == "feature" else None
    inputs = np.asarray(inputs, np.float64)
    mean, deviation = inputs[train].mean(axis=axis), inputs[train].std(axis=axis)
    standardized = ((inputs - mean) / deviation).astype(np.float32)
    parts = (Examples(standardized[i], labels[i].astype(np.int32)) for i in (train, *held_out))
    return Dataset(*parts, classes=int(labels.max()) + 1)


def evenly(examples: Examples[Array], count: int) -> Examples[Array]:
    """At most `count` of the examples, at even distances: what is judged often must be small."""
    chosen = np.linspace(0, len(examples.labels) - 1, min(count, len(examples.labels))).astype(int)
    return Examples(examples.inputs[chosen], examples.labels[chosen])
