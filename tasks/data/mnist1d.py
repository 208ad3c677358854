"""MNIST-1D: ten one-dimensional digits, generated as its authors generate them.

Reference: Greydanus, Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024 (arXiv
2011.14439). The draws are those of its published code, in their order: in float32 the data equal
the published ones bit for bit.
"""

import functools
import hashlib

import numpy as np

from tasks.data.arrays import Array, Dataset, Examples

_SEED = 42
_PER_CLASS = 500
_PADDING = (36, 60)
_DILATED = 72  # the template's 12 points and the most padding
_SCALE = 0.4
_TRANSLATIONS = 48
_SMOOTH_NOISE, _SMOOTHING = 0.25, 2.0
_WHITE_NOISE = 0.02
_SHEAR = 0.75
_LENGTH = 40

# A digit seen from the side: how far right its pen is, at twelve heights from top to bottom.
_TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)

_SHA256 = "ade4873efbada6c21ddab527e7242e6ffa9ca9d5ae03a3625d8650290a7fc392"


@functools.cache
def mnist1d() -> Dataset:
    """Ten one-dimensional digits under noise: 5000 signals of length 40.

    3744 train, 256 validation, 1000 test, the last as published. Inputs (n, 40, 1, 1): an image
    one pixel wide. As published, all 5000 signals together are standardized.

    Raises:
      ValueError: if this NumPy generates other data than all published numbers were made with.
    """
    signals, labels = generate()
    # Rounded, because mathematical libraries differ in the last digit of a logarithm.
    digest = hashlib.sha256(np.rint(signals * 1e6).astype("<i4").tobytes() + labels.tobytes())
    if digest.hexdigest() != _SHA256:
        raise ValueError(
            f"MNIST-1D comes out otherwise on this machine (sha256 {digest.hexdigest()[:12]}, "
            f"expected {_SHA256[:12]}), so losses would not compare with published ones; "
            "install a NumPy whose RandomState draws the legacy stream, such as numpy==2.4"
        )
    images = signals.astype(np.float32)[:, :, None, None]
    parts = (slice(0, 3744), slice(3744, 4000), slice(4000, 5000))
    return Dataset(*(Examples(images[part], labels[part]) for part in parts), classes=10)


def generate() -> tuple[Array, Array]:
    """The 5000 signals, float64 (5000, 40), and their labels, int32 (5000,), as published."""
    random = np.random.RandomState(_SEED)
    digits = _TEMPLATES - _TEMPLATES.mean(axis=1, keepdims=True)
    digits /= digits.std(axis=1, keepdims=True)
    # From 0 to 0; the small number tells a digit's own zeros from those around it.
    digits = (digits - digits[:, :1]) / 6 + 1e-8
    labels = np.repeat(np.arange(10, dtype=np.int32), _PER_CLASS)
    signals = np.stack([_signal(digits[label], random) for label in labels])
    order = random.permutation(len(labels))
    signals = (signals - signals.mean()) / signals.std()
    return signals[order], labels[order]


def _signal(digit: Array, random: np.random.RandomState) -> Array:
    """One example (40,) of a digit (12,): padded, scaled, moved, put in noise, sheared."""
    low, high = _PADDING
    padding = low + int(random.rand() * (high - low + 1))
    signal = _resampled(np.concatenate([digit, np.zeros(padding)]), _DILATED)
    signal *= 1 + _SCALE * (random.rand() - 0.5)
    signal = np.roll(signal, random.choice(_TRANSLATIONS))
    noise = _smoothed(_SMOOTH_NOISE * random.randn(_DILATED))
    signal = np.where(signal != 0, signal, noise)
    signal += _WHITE_NOISE * random.randn(_DILATED)
    signal -= _SHEAR * (random.rand() - 0.5) * np.linspace(-0.5, 0.5, _DILATED)
    return _resampled(signal, _LENGTH)


def _resampled(signal: Array, length: int) -> Array:
    """`signal` (n,) at `length` places from its first to its last, interpolated linearly."""
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(signal)), signal)


def _smoothed(signal: Array) -> Array:
    """`signal` (n,) convolved with a Gaussian that is cut at four deviations; ends are mirrored."""
    radius = int(4 * _SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SMOOTHING) ** 2)
    return np.convolve(np.pad(signal, radius, "symmetric"), weights / weights.sum(), "valid")
