"""MNIST-1D and the patches of photographs: the published data, and disjoint parts."""

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage

from tasks import data
from tasks.data import mnist1d, photographs


def parts(dataset):
    return dataset.train, dataset.validation, dataset.test


def test_mnist1d_is_the_published_data():
    signals, labels = mnist1d.generate()
    # From the file that the authors publish, `mnist1d_data.pkl`: x[0, :4], x_test[-1, -4:], y[:12].
    np.testing.assert_allclose(signals[0, :4], PUBLISHED_FIRST, rtol=1e-12)
    np.testing.assert_allclose(signals[-1, -4:], PUBLISHED_LAST, rtol=1e-12)
    assert labels[:12].tolist() == PUBLISHED_LABELS
    assert np.bincount(labels).tolist() == [500] * 10


def test_mnist1d_parts():
    dataset = data.labelled("mnist1d")
    signals, labels = mnist1d.generate()
    inputs = np.concatenate([part.inputs for part in parts(dataset)])
    assert [len(part.labels) for part in parts(dataset)] == [3744, 256, 1000]
    np.testing.assert_array_equal(inputs, signals.astype(np.float32)[:, :, None, None])
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts(dataset)]), labels)
    assert (inputs.dtype, labels.dtype, dataset.classes) == (np.float32, np.int32, 10)
    assert len(np.unique(inputs, axis=0)) == 5000
    assert abs(inputs.mean()) < 1e-6
    assert inputs.std() == pytest.approx(1, abs=1e-6)


def test_mnist1d_transformations_are_scipys():
    signal = np.random.default_rng(0).normal(size=52)
    smooth = scipy.ndimage.gaussian_filter(signal, 2)
    np.testing.assert_allclose(mnist1d._smoothed(signal), smooth, rtol=1e-12)
    linear = scipy.interpolate.interp1d(np.linspace(0, 1, 52), signal)(np.linspace(0, 1, 72))
    np.testing.assert_allclose(mnist1d._resampled(signal, 72), linear, rtol=1e-12)


def test_other_data_are_refused(monkeypatch):
    monkeypatch.setattr(mnist1d, "_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="install a NumPy"):
        mnist1d.mnist1d.__wrapped__()
    monkeypatch.setattr(photographs, "_SHA256", {"china": "0" * 64})
    with pytest.raises(ValueError, match="pip install"):
        photographs.photograph_patches.__wrapped__("china")


@pytest.mark.parametrize("side", [8, 16])
def test_no_pixel_of_a_photograph_is_in_two_parts(side):
    places = np.arange(427 * 640).reshape(427, 640, 1)
    strides = (side // 2, side, side)
    pieces = [
        photographs.cut(places, *band, side, stride)
        for band, stride in zip(photographs._BANDS, strides, strict=True)
    ]
    train, validation, test = (set(piece.inputs.ravel().tolist()) for piece in pieces)
    assert not train & validation
    assert not train & test
    assert not validation & test
    # A patch is a square of neighbours, labelled by the row of its middle.
    for piece in pieces:
        corner = piece.inputs[:, :1, :1]
        square = (640 * np.arange(side)[:, None] + np.arange(side))[None, :, :, None]
        np.testing.assert_array_equal(piece.inputs, corner + square)
        row = piece.inputs[:, side // 2, side // 2, 0] // 640
        np.testing.assert_array_equal(piece.labels, 4 * row // 427)


@pytest.mark.parametrize("name", photographs.PATCHES)
def test_patches(name):
    dataset = data.labelled(name)
    side, channels = (16 if "16" in name else 8), (3 if "color" in name else 1)
    sizes = {8: [9660, 256, 848], 16: [2288, 208, 208]}[side]
    assert [len(part.labels) for part in parts(dataset)] == sizes
    assert dataset.classes == 4
    for part in parts(dataset):
        assert part.inputs.shape[1:] == (side, side, channels)
        assert (part.inputs.dtype, part.labels.dtype) == (np.float32, np.int32)
        assert set(part.labels.tolist()) == {0, 1, 2, 3}
    assert dataset.train.inputs.mean() == pytest.approx(0, abs=1e-4)
    assert dataset.train.inputs.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("wrong", [("rome", 8), ("china", 7)])
def test_unknown_patches_are_an_error(wrong):
    with pytest.raises(ValueError, match="china, flower, and side 8 or 16"):
        photographs.photograph_patches(*wrong)


PUBLISHED_FIRST = [
    -0.3320056673693902,
    -0.4719103656557236,
    -0.778697076293495,
    -1.0097408265367047,
]
PUBLISHED_LAST = [0.4472328851428726, 0.6598756470890784, 0.8777343497528006, 1.193151836835276]
PUBLISHED_LABELS = [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9]
