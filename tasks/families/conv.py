"""Small convolutional networks on images."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.layers import ACTIVATIONS, INITIALIZERS, NORMALIZATIONS, Conv, check_choice, normalized
from tasks.naming import variant
from tasks.sampling import choice, log_uniform_int, uniform
from tasks.supervised import classification_task


@dataclass(frozen=True)
class ConvNet:
    """A convolutional network in the manner of LeNet.

    3x3 convolutions with stride 2, then one dense layer. Each convolution halves the side of
    the image: 8 -> 4 -> 2.

    Reference: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998. Strides stand in for its pooling, and `activation` for its tanh.

    Attributes:
      dataset: a name in `tasks.data.IMAGES`.
      channels: output channels of each convolution.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, height, width,
        channels) and int32 (batch_size,).
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels; biases start at 0.
      norm: a name in `tasks.layers.NORMALIZATIONS`, applied before each activation.

    Raises:
      ValueError: for a name that there is none of.
    """

    dataset: str = "digits"
    channels: tuple[int, ...] = (8, 16)
    activation: str = "relu"
    batch_size: int = 32
    init: str = "lecun_normal"
    norm: str = "none"

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("initializer", self.init, INITIALIZERS)
        check_choice("normalization", self.norm, NORMALIZATIONS)

    @property
    def name(self) -> str:
        channels = "x".join(map(str, self.channels))
        base = f"{self.dataset}_conv_{channels}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "init", "norm")

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        network = StridedNet(self.channels, dataset.outputs, self.activation, self.init, self.norm)
        return classification_task(self.name, network, dataset, self.batch_size)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        depth = 1 + int(uniform(generator, 0, 3))
        first = log_uniform_int(generator, 4, 16)
        return cls(
            dataset=choice(generator, ("digits", "china_8", "china_8_color")),
            channels=tuple(min(first * 2**i, 32) for i in range(depth)),
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 8, 64),
            init=choice(generator, tuple(INITIALIZERS)),
            norm=choice(generator, tuple(NORMALIZATIONS)),
        )


class StridedNet(nn.Module):
    """Images (n, height, width, channels) -> logits (n, classes)."""

    channels: tuple[int, ...]
    classes: int
    activation: str
    initializer: str = "lecun_normal"
    norm: str = "none"

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden = inputs
        for channels in self.channels:
            init = INITIALIZERS[self.initializer]
            hidden = Conv(channels, (3, 3), (2, 2), kernel_init=init)(hidden)
            hidden = ACTIVATIONS[self.activation](normalized(hidden, self.norm))
        hidden = hidden.reshape((hidden.shape[0], -1))
        return nn.Dense(self.classes, kernel_init=INITIALIZERS[self.initializer])(hidden)
