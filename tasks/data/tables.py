"""Labelled tables that scikit-learn installs: digits, wine, breast cancer.

Each loader reads on first call and caches.
"""

import functools
from typing import Literal, get_args

from tasks.data.arrays import Dataset, standardized

TabularDataset = Literal["wine", "breast_cancer"]


@functools.cache
def digits() -> Dataset:
    """Handwritten digits: 1797 grey 8x8 images of ten classes.

    1000 train, 397 validation, 400 test. Inputs (n, 8, 8, 1).
    Pixels 0..16 are standardized by the mean and standard deviation of all training pixels
    together: some border pixels never change, and a scale for each would blow up the rare ones.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998 (its test part), by `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    images = inputs.reshape((-1, 8, 8, 1))
    return standardized(images, labels, "global", validation=397, test=400)


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
    return standardized(inputs, labels, "feature", validation=fifth, test=fifth)
