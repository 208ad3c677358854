"""The data sets by name."""

from collections.abc import Callable, Mapping
from functools import partial

from tasks.data import files, mnist1d, photographs, tables, text
from tasks.data.arrays import Corpus, Dataset

IMAGES: Mapping[str, Callable[[], Dataset]] = {
    "digits": tables.digits,
    "mnist1d": mnist1d.mnist1d,
    **photographs.PATCHES,
    **photographs.MIDDLES,
    "fashion_mnist": files.fashion_mnist,
    "cifar10": files.cifar10,
}
"""Labelled images: inputs are float32 (n, height, width, channels)."""

LABELLED: Mapping[str, Callable[[], Dataset]] = {
    **IMAGES,
    "wine": partial(tables.tabular, "wine"),
    "breast_cancer": partial(tables.tabular, "breast_cancer"),
}
"""Every labelled data set; where `classes` is 0 the labels are real targets."""


CORPORA: Mapping[str, Callable[[], Corpus]] = {
    "kjv": text.king_james,
    "kjv_words": partial(text.king_james_words, 512),
    "web": text.web,
    "web_words": partial(text.web_words, 512),
    "lm1b": files.lm1b,
}
"""The texts."""


def labelled(name: str) -> Dataset:
    """The labelled data set of that name.

    Raises:
      ValueError: there is none of that name.
      FileNotFoundError: it is not on this machine; the message names the command that gets it.
    """
    check_dataset(name)
    return LABELLED[name]()


def check_dataset(name: str, *, images: bool = False) -> None:
    """Raise ValueError unless there is a labelled data set (of images) of that name."""
    known = IMAGES if images else LABELLED
    if name not in known:
        kind = "image" if images else "labelled"
        raise ValueError(f"unknown {kind} data set {name!r}: choose one of {', '.join(known)}")


def corpus(name: str) -> Corpus:
    """The text of that name.

    Raises:
      ValueError, FileNotFoundError: as `labelled`.
    """
    if name not in CORPORA:
        raise ValueError(f"unknown text {name!r}: choose one of {', '.join(CORPORA)}")
    return CORPORA[name]()
