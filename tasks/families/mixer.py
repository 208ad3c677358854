"""Small MLP-Mixers on images."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.families.vit import patch_shape, tokens
from tasks.sampling import choice, log_uniform_int
from tasks.supervised import classification_task


@dataclass(frozen=True)
class Mixer:
    """An MLP-Mixer: perceptrons along the patches of an image, and along their features, in turn.

    Reference: Tolstikhin et al., "MLP-Mixer: an all-MLP architecture for vision", NeurIPS 2021
    (arXiv 2105.01601).

    Attributes:
      dataset: a name in `tasks.data.IMAGES`.
      patch: as of `tasks.families.vit.ViT`.
      layers: number of blocks.
      width: features of a token.
      token_width: hidden units of the perceptron along the patches.
      channel_width: hidden units of the perceptron along the features.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, height, width,
        channels) and int32 (batch_size,).

    Raises:
      ValueError: for a data set that there is none of; `build` raises it if `patch` does not divide
        the image.
    """

    dataset: str = "digits"
    patch: int = 2
    layers: int = 2
    width: int = 24
    token_width: int = 16
    channel_width: int = 48
    batch_size: int = 16

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)

    @property
    def name(self) -> str:
        return (
            f"{self.dataset}_mixer_p{self.patch}_l{self.layers}_w{self.width}"
            f"_t{self.token_width}_c{self.channel_width}_b{self.batch_size}"
        )

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        patch = patch_shape(self.patch, dataset.train.inputs.shape)
        network = MixerNet(
            patch, self.layers, self.width, self.token_width, self.channel_width, dataset.outputs
        )
        return classification_task(self.name, network, dataset, self.batch_size)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        width = log_uniform_int(generator, 8, 32)
        return cls(
            dataset=choice(generator, ("digits", "digits", "china_8")),
            patch=choice(generator, (2, 2, 4)),
            layers=choice(generator, (1, 2, 3)),
            width=width,
            token_width=log_uniform_int(generator, 4, 24),
            channel_width=choice(generator, (1, 2)) * width,
            batch_size=log_uniform_int(generator, 4, 11),
        )


class MixerNet(nn.Module):
    """Images (n, height, width, channels) -> logits (n, classes)."""

    patch: tuple[int, int]
    layers: int
    width: int
    token_width: int
    channel_width: int
    classes: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        def perceptron(hidden: jax.Array, width: int) -> jax.Array:
            return nn.Dense(hidden.shape[-1])(nn.gelu(nn.Dense(width)(hidden)))

        stream = nn.Dense(self.width)(tokens(inputs, self.patch))
        for _ in range(self.layers):
            across = nn.LayerNorm()(stream).transpose((0, 2, 1))
            stream = stream + perceptron(across, self.token_width).transpose((0, 2, 1))
            stream = stream + perceptron(nn.LayerNorm()(stream), self.channel_width)
        return nn.Dense(self.classes)(jnp.mean(nn.LayerNorm()(stream), axis=1))
