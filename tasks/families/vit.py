"""Small vision Transformers on images."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.attention import Block
from tasks.base import Task
from tasks.sampling import choice, log_uniform_int
from tasks.supervised import classification_task


@dataclass(frozen=True)
class ViT:
    """A vision Transformer: attention among the patches of an image.

    Each patch is mapped linearly to a token, a learned position is added; then pre-norm blocks,
    normalization, the mean over all tokens, and a dense layer.

    Reference: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021 (arXiv 2010.11929).
    Deviation: the mean of all tokens instead of a class token, as in Beyer, Zhai, Kolesnikov,
    "Better plain ViT baselines for ImageNet-1k", 2022 (arXiv 2205.01580).

    Attributes:
      dataset: a name in `tasks.data.IMAGES`.
      patch: side of a patch, which divides the image's; an image one pixel wide is cut along its
        height only.
      layers: number of blocks.
      width: size of the residual stream, a multiple of `heads`.
      heads: attention heads.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, height, width,
        channels) and int32 (batch_size,).

    Raises:
      ValueError: for a data set that there is none of, or if `width` is not a multiple of `heads`;
        `build` raises it if `patch` does not divide the image.
    """

    dataset: str = "digits"
    patch: int = 2
    layers: int = 1
    width: int = 24
    heads: int = 4
    batch_size: int = 16

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)
        if self.width % self.heads:
            raise ValueError(
                f"ViT: width {self.width} is not a multiple of heads {self.heads}; "
                "each head needs the same share"
            )

    @property
    def name(self) -> str:
        return (
            f"{self.dataset}_vit_p{self.patch}_l{self.layers}_w{self.width}_h{self.heads}"
            f"_b{self.batch_size}"
        )

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        patch = patch_shape(self.patch, dataset.train.inputs.shape)
        network = VisionTransformer(patch, self.layers, self.width, self.heads, dataset.outputs)
        return classification_task(self.name, network, dataset, self.batch_size)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        heads = choice(generator, (1, 2, 4))
        return cls(
            dataset=choice(generator, ("digits", "digits", "china_8")),
            patch=choice(generator, (2, 2, 4)),
            layers=choice(generator, (1, 1, 2)),
            width=heads * log_uniform_int(generator, 4, 32 // heads),
            heads=heads,
            batch_size=log_uniform_int(generator, 4, 10),
        )


def patch_shape(side: int, images: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of a patch of images (n, height, width, channels).

    Raises:
      ValueError: if the patches do not fill an image.
    """
    height, width = images[1:3]
    patch = side, side if width > 1 else 1
    if side < 1 or height % patch[0] or width % patch[1]:
        raise ValueError(
            f"patches of side {side} do not fill an image of {height}x{width} pixels; "
            "choose a side that divides both"
        )
    return patch


def tokens(images: jax.Array, patch: tuple[int, int]) -> jax.Array:
    """The patches of images (n, height, width, channels), row by row: (n, patches, pixels)."""
    n, height, width, channels = images.shape
    rows, columns = height // patch[0], width // patch[1]
    tiles = images.reshape((n, rows, patch[0], columns, patch[1], channels))
    return tiles.transpose((0, 1, 3, 2, 4, 5)).reshape((n, rows * columns, -1))


class VisionTransformer(nn.Module):
    """Images (n, height, width, channels) -> logits (n, classes)."""

    patch: tuple[int, int]
    layers: int
    width: int
    heads: int
    classes: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        stream = nn.Dense(self.width)(tokens(inputs, self.patch))
        shape = stream.shape[1:]
        positions = self.param("positions", nn.initializers.normal(0.02), shape, jnp.float32)
        stream = stream + positions[None]
        for _ in range(self.layers):
            stream = Block(self.heads, causal=False)(stream)
        return nn.Dense(self.classes)(jnp.mean(nn.LayerNorm()(stream), axis=1))
