"""Patches of the two photographs that scikit-learn installs: a Chinese temple, and a flower.

A patch is labelled with where it was cut, a label that every picture has for free; what has no use
for labels ignores it.

Reference: Doersch, Gupta, Efros, "Unsupervised visual representation learning by context
prediction", ICCV 2015 (arXiv 1505.05192), for places as labels.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, get_args

import numpy as np

from tasks.data.arrays import Array, Dataset, Examples, evenly

Photograph = Literal["china", "flower"]

_SHA256: Mapping[str, str] = {
    "china": "e701459344fd69797154c91add3bb5d70e5ed1a61d8bed889bab3a796104698d",
    "flower": "3202904ed246795bf616c66d7859cd7c6080eff736c6e38dc5cc62779742033f",
}

# Every 160 columns: 96 for training, 32 for validation, 32 for test. The bands are upright because
# sky is above and ground below, and each part should have its share of both.
_PERIOD = 160
_BANDS = ((0, 96), (96, 128), (128, 160))

_LUMA = np.array([0.299, 0.587, 0.114])
_QUARTERS = 4
_VALIDATION = 256


@functools.cache
def photograph_patches(name: Photograph, side: int = 8, color: bool = False) -> Dataset:
    """Square patches of a photograph of 427x640 pixels, and from which quarter of its height.

    The parts are disjoint bands of the photograph, so no pixel is in two of them. Training patches
    overlap by half a side, held-out ones do not: with side 8 there are 9660 train, 256 validation,
    848 test, with side 16 2288, 208, 208. Inputs (n, side, side, 3 if color else 1), standardized
    by the mean and standard deviation of all training pixels together; grey is the luma of ITU-R
    BT.601. The labels are 0 at the top to 3 at the bottom, by the middle of the patch.

    Args:
      name: `"china"` or `"flower"`.
      side: 8 or 16.
      color: whether to keep the three colors.

    Raises:
      ValueError: for another name or side, or if the photograph is not the one all published
        numbers were made with.
    """
    if name not in get_args(Photograph) or side not in (8, 16):
        raise ValueError(
            f"no patches of photograph {name!r} with side {side}: choose one of "
            f"{', '.join(get_args(Photograph))}, and side 8 or 16"
        )
    pixels = _photograph(name).astype(np.float64)
    pixels = pixels if color else (pixels @ _LUMA)[:, :, None]
    strides = (side // 2, side, side)
    parts = [cut(pixels, *band, side, s) for band, s in zip(_BANDS, strides, strict=True)]
    parts[1] = evenly(parts[1], _VALIDATION)
    mean, deviation = parts[0].inputs.mean(), parts[0].inputs.std()
    standardized = [
        Examples(((part.inputs - mean) / deviation).astype(np.float32), part.labels)
        for part in parts
    ]
    return Dataset(*standardized, classes=_QUARTERS)


def _photograph(name: Photograph) -> Array:
    """The pixels, uint8 (427, 640, 3)."""
    from sklearn.datasets import load_sample_image

    pixels = load_sample_image(f"{name}.jpg")
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    if digest != _SHA256[name]:
        raise ValueError(
            f"the photograph {name!r} reads otherwise on this machine (sha256 {digest[:12]}, "
            f"expected {_SHA256[name][:12]}), so losses would not compare with published ones; "
            "pip install --force-reinstall scikit-learn Pillow"
        )
    return pixels


def cut(pixels: Array, first: int, last: int, side: int, stride: int) -> Examples[Array]:
    """The patches within columns [first, last) of every period, and their quarters.

    Args:
      pixels: (height, width, channels), width a multiple of the period, 160.
      first: where the band begins within a period.
      last: where it ends.
      side: of a patch.
      stride: from one patch to the next, down and across.

    Returns:
      Inputs (number of patches, side, side, channels), and int32 labels.
    """
    height, width, channels = pixels.shape
    columns = np.arange(width).reshape((-1, _PERIOD))[:, first:last]
    bands = pixels[:, columns].transpose((1, 0, 2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(bands, (side, side), axis=(1, 2))
    chosen = windows[:, ::stride, ::stride]
    middles = np.arange(chosen.shape[1]) * stride + side // 2
    labels = np.broadcast_to((_QUARTERS * middles // height)[None, :, None], chosen.shape[:3])
    patches = chosen.reshape((-1, channels, side, side)).transpose((0, 2, 3, 1))
    return Examples(patches, labels.reshape(-1).astype(np.int32))


PATCHES: Mapping[str, Callable[[], Dataset]] = {
    f"{name}_{side}" + "_color" * color: partial(photograph_patches, name, side, color)
    for name in get_args(Photograph)
    for side in (8, 16)
    for color in (False, True)
}
"""`"china_8"`, `"china_8_color"`, `"china_16"`, ... -> loader; the same for `"flower"`."""


@functools.cache
def photograph_middles(name: Photograph, side: int = 8, color: bool = False) -> Dataset:
    """The same patches with a hole in the middle, and how light it is there.

    Inputs are those of `photograph_patches` with the four pixels in the middle set to 0. The
    targets are those pixels' mean, standardized by the training part's mean and deviation.

    Raises:
      ValueError: as `photograph_patches`.
    """
    whole = photograph_patches(name, side, color)
    middle = slice(side // 2 - 1, side // 2 + 1)
    lights = [part.inputs[:, middle, middle].mean(axis=(1, 2, 3)) for part in whole[:3]]
    mean, deviation = lights[0].mean(), lights[0].std()
    parts = []
    for part, light in zip(whole[:3], lights, strict=True):
        holed = part.inputs.copy()
        holed[:, middle, middle] = 0
        parts.append(Examples(holed, ((light - mean) / deviation).astype(np.float32)))
    return Dataset(*parts, classes=0)


MIDDLES: Mapping[str, Callable[[], Dataset]] = {
    f"{key}_middle": partial(photograph_middles, *loader.args) for key, loader in PATCHES.items()
}
"""`"china_8_middle"`, ...: `PATCHES` with holes, for regression."""
