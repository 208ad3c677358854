"""Data sets in the files that their authors published: the formats, and the data sets.

A parser never trusts a file: a length that does not fit is an error that names the file.
"""

import functools
import gzip
import math
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from tasks.data import cache
from tasks.data.arrays import Array, Corpus, Dataset, Examples
from tasks.data.text import byte_corpus

_CLASSES = 10
_IDX_UINT8 = 8
_CIFAR_SHAPE = (3, 32, 32)
_LM1B = "1-billion-word-language-modeling-benchmark-r13output"


# ---------------------------------------------------------------- formats


def parse_idx(content: bytes, source: str) -> Array:
    """An array of unsigned bytes in the format of MNIST.

    Two zero bytes, the type (8), the number of dimensions, each dimension as a big-endian uint32,
    and the values in C order.

    Args:
      content: the file, decompressed.
      source: what an error calls it.

    Returns:
      uint8 of the shape that the file tells.

    Raises:
      ValueError: if this is no such file, or its length is not what its dimensions ask for.
    """
    header = 4 + 4 * content[3] if len(content) > 3 else 4
    if content[:3] != bytes((0, 0, _IDX_UINT8)) or len(content) < header:
        raise ValueError(f"{source} is no IDX file of unsigned bytes: it starts {content[:4]!r}")
    shape = tuple(np.frombuffer(content[4:header], ">u4").tolist())
    values = np.frombuffer(content[header:], np.uint8)
    if len(values) != math.prod(shape):
        raise ValueError(
            f"{source} says that its shape is {shape}, {math.prod(shape):,} bytes, "
            f"but {len(values):,} follow"
        )
    return values.reshape(shape)


def parse_cifar(content: bytes, source: str) -> Examples[Array]:
    """A batch of CIFAR-10 in its binary version.

    Each record is a byte of label, then 32x32 bytes each of red, green and blue, row by row.

    Args:
      content: the file.
      source: what an error calls it.

    Returns:
      uint8 images (n, 32, 32, 3) and labels (n,).

    Raises:
      ValueError: if the length is not that of whole records.
    """
    length = 1 + math.prod(_CIFAR_SHAPE)
    if not content or len(content) % length:
        raise ValueError(f"{source} has {len(content):,} bytes: no whole records of {length:,}")
    records = np.frombuffer(content, np.uint8).reshape((-1, length))
    return Examples(
        records[:, 1:].reshape((-1, *_CIFAR_SHAPE)).transpose((0, 2, 3, 1)), records[:, 0]
    )


def read_gzip(path: Path) -> bytes:
    """What a gzip file holds.

    Raises:
      ValueError: if it is damaged.
    """
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, error) from error


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Files of a tar.gz archive; nothing after the last of them is read, nothing is unpacked.

    Raises:
      ValueError: if the archive is damaged, or lacks one.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                if (name := member.name.removeprefix("./")) in names and (
                    source := archive.extractfile(member)
                ):
                    found[name] = source.read()
                    if len(found) == len(names):
                        return found
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise _damaged(path, error) from error
    raise ValueError(f"{path} lacks {', '.join(sorted(set(names) - set(found)))}")


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged ({error}); delete it and fetch it again")


# ---------------------------------------------------------------- data sets


@functools.cache
def fashion_mnist(validation: int = 1_000) -> Dataset:
    """Articles of clothing: 70,000 grey 28x28 images of ten classes.

    59,000 train; the last 1,000 of the published training images are for validation; the published
    10,000 test. Pixels are standardized by the mean and deviation of all training pixels together.

    Reference: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms", 2017 (arXiv 1708.07747).

    Args:
      validation: the number of validation examples.

    Raises:
      FileNotFoundError: it is not on this machine; the message names the command that gets it.
      ValueError: a file is not as published.
    """
    arrays = [parse_idx(read_gzip(path), str(path)) for path in cache.paths("fashion_mnist")]
    images, labels, test_images, test_labels = arrays
    train = Examples(images[..., None], labels)
    test = Examples(test_images[..., None], test_labels)
    return _image_dataset(train, test, validation)


@functools.cache
def cifar10(validation: int = 1_000) -> Dataset:
    """Photographs of animals and vehicles: 60,000 coloured 32x32 images of ten classes.

    49,000 train; the last 1,000 of the published training images are for validation; the published
    10,000 test. Each channel is standardized by the mean and deviation of its training pixels.

    Reference: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Args:
      validation: the number of validation examples.

    Raises:
      FileNotFoundError, ValueError: as `fashion_mnist`.
    """
    (path,) = cache.paths("cifar10")
    folder = "cifar-10-batches-bin"
    names = [f"{folder}/data_batch_{i}.bin" for i in range(1, 6)] + [f"{folder}/test_batch.bin"]
    members = read_members(path, names)
    *batches, test = (parse_cifar(members[name], f"{name} of {path}") for name in names)
    return _image_dataset(
        Examples(*map(np.concatenate, zip(*batches, strict=True))), test, validation
    )


@functools.cache
def lm1b(shards: int = 1) -> Corpus:
    """Sentences of news as bytes, one a line, in random order: the One Billion Word benchmark.

    Trained on the first of its 99 training shards, about 40 MB each; validation and test are the
    held-out shards 1 and 0 of 50. Bytes that occur in any of them get dense ids in byte order.

    Reference: Chelba et al., "One billion word benchmark for measuring progress in statistical
    language modeling", 2013 (arXiv 1312.3005); Jozefowicz et al., "Exploring the limits of language
    modeling", 2016 (arXiv 1602.02410), for the test shard.

    Args:
      shards: how many training shards are read.

    Raises:
      FileNotFoundError, ValueError: as `fashion_mnist`.
    """
    (path,) = cache.paths("lm1b")
    training = f"{_LM1B}/training-monolingual.tokenized.shuffled/news.en-{{:05d}}-of-00100"
    held_out = f"{_LM1B}/heldout-monolingual.tokenized.shuffled/news.en.heldout-{{:05d}}-of-00050"
    names = [training.format(shard) for shard in range(1, shards + 1)]
    names += [held_out.format(1), held_out.format(0)]
    members = read_members(path, names)
    *train, validation, test = (np.frombuffer(members[name], np.uint8) for name in names)
    return byte_corpus(np.concatenate(train), validation, test)


def _image_dataset(train: Examples[Array], test: Examples[Array], validation: int) -> Dataset:
    """Split off the last training images, and standardize each channel by the others.

    Args:
      train: uint8 images (n, height, width, channels) and labels (n,).
      test: the same.
      validation: how many of the training images are for validation.

    Raises:
      ValueError: if there are not as many labels as images, or a label is above 9.
    """
    for images, labels in (train, test):
        if len(images) != len(labels) or labels.max() >= _CLASSES:
            raise ValueError(
                f"{len(images)} images have {len(labels)} labels up to {labels.max()}; "
                f"each should have one, below {_CLASSES}"
            )
    split = len(train.labels) - validation
    images = [train.inputs[:split], train.inputs[split:], test.inputs]
    labels = [train.labels[:split], train.labels[split:], test.labels]
    labels = (array.astype(np.int32) for array in labels)
    return Dataset(*map(Examples, _standardized(images), labels), classes=_CLASSES)


def _standardized(parts: list[Array]) -> list[Array]:
    """Images uint8 (n, height, width, channels) -> float32, by the mean and deviation of the first.

    Each value of a pixel is scaled once, in float64, and looked up: no array of float64 is made.
    """
    values = np.arange(256.0)
    outputs = [np.empty(part.shape, np.float32) for part in parts]
    for channel in range(parts[0].shape[-1]):
        counts = np.bincount(parts[0][..., channel].reshape(-1), minlength=256)
        mean = np.average(values, weights=counts)
        deviation = math.sqrt(np.average((values - mean) ** 2, weights=counts))
        table = ((values - mean) / deviation).astype(np.float32)
        for part, output in zip(parts, outputs, strict=True):
            output[..., channel] = table[part[..., channel]]
    return outputs
