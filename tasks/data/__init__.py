"""The data sets, as NumPy arrays.

Nothing is read at import: each loader reads on first call and caches. No data is kept in this
repository; it comes with installed packages, is generated, or lies in the user's cache.
"""

from tasks.data.arrays import Array, Corpus, Dataset, Examples, stratified_split
from tasks.data.catalogue import (
    CORPORA,
    IMAGES,
    LABELLED,
    check_dataset,
    corpus,
    labelled,
)
from tasks.data.tables import TabularDataset, digits, tabular
from tasks.data.text import clean, king_james, split_text

__all__ = [
    "CORPORA",
    "IMAGES",
    "LABELLED",
    "Array",
    "Corpus",
    "Dataset",
    "Examples",
    "TabularDataset",
    "check_dataset",
    "clean",
    "corpus",
    "digits",
    "king_james",
    "labelled",
    "split_text",
    "stratified_split",
    "tabular",
]
