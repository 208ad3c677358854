"""Small residual convolutional networks on images."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.layers import ACTIVATIONS, INITIALIZERS, NORMALIZATIONS, Conv, check_choice, normalized
from tasks.naming import variant
from tasks.sampling import choice, log_uniform_int
from tasks.supervised import classification_task


@dataclass(frozen=True)
class ResNet:
    """A pre-activation residual network.

    A 3x3 convolution, then stages of blocks; a block adds to its input

        conv(act(norm(conv(act(norm(input)))))).

    A stage's first block may change the number of channels, and from the second stage on it halves
    the side; there the input is passed on by a 1x1 convolution. At the end come normalization,
    activation, the mean over all places, and a dense layer.

    Reference: He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016 (arXiv
    1603.05027). Deviation: normalization over the channels of each place instead of the batch,
    because a task carries no running statistics.

    Attributes:
      dataset: a name in `tasks.data.IMAGES`.
      channels: of each stage.
      blocks: residual blocks of each stage, two convolutions a block.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, height, width,
        channels) and int32 (batch_size,).
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels; biases start at 0.
      norm: a name in `tasks.layers.NORMALIZATIONS`.

    Raises:
      ValueError: for a name that there is none of, or fewer than one stage or block.
    """

    dataset: str = "digits"
    channels: tuple[int, ...] = (8, 16)
    blocks: int = 1
    activation: str = "relu"
    batch_size: int = 16
    init: str = "he_normal"
    norm: str = "layer"

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("initializer", self.init, INITIALIZERS)
        check_choice("normalization", self.norm, NORMALIZATIONS)
        if not self.channels or self.blocks < 1:
            raise ValueError(
                f"ResNet: channels {self.channels} must name at least one stage, "
                f"and blocks {self.blocks} be at least 1"
            )

    @property
    def name(self) -> str:
        channels = "x".join(map(str, self.channels))
        base = f"{self.dataset}_resnet_{channels}_n{self.blocks}_{self.activation}"
        return base + f"_b{self.batch_size}" + variant(self, "init", "norm")

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        network = ResidualNet(
            self.channels, self.blocks, dataset.outputs, self.activation, self.init, self.norm
        )
        return classification_task(self.name, network, dataset, self.batch_size)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        stages = choice(generator, (1, 2, 2))
        first = log_uniform_int(generator, 4, 12 // stages)
        return cls(
            dataset=choice(generator, ("digits", "digits", "china_8")),
            channels=tuple(first * 2**i for i in range(stages)),
            blocks=choice(generator, (1, 1, 2)),
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 4, 11),
            init=choice(generator, tuple(INITIALIZERS)),
            norm=choice(generator, ("layer", "layer", "rms", "none")),
        )


class ResidualNet(nn.Module):
    """Images (n, height, width, channels) -> logits (n, classes)."""

    channels: tuple[int, ...]
    blocks: int
    classes: int
    activation: str
    initializer: str = "he_normal"
    norm: str = "layer"

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        init = INITIALIZERS[self.initializer]

        def conv(hidden: jax.Array, channels: int, side: int = 3, stride: int = 1) -> jax.Array:
            # Along an axis of length one, all of a kernel but its middle would see padding.
            height, width = (side if n > 1 else 1 for n in hidden.shape[1:3])
            return Conv(channels, (height, width), (stride, stride), kernel_init=init)(hidden)

        def activated(hidden: jax.Array) -> jax.Array:
            return ACTIVATIONS[self.activation](normalized(hidden, self.norm))

        hidden = conv(inputs, self.channels[0])
        for stage, channels in enumerate(self.channels):
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                before = activated(hidden)
                if stride > 1 or channels != hidden.shape[-1]:
                    hidden = conv(before, channels, 1, stride)
                inner = activated(conv(before, channels, 3, stride))
                hidden = hidden + conv(inner, channels)
        pooled = jnp.mean(activated(hidden), axis=(1, 2))
        return nn.Dense(self.classes, kernel_init=init)(pooled)
