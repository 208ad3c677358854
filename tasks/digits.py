"""Handwritten digits: multilayer perceptrons and small convolutional networks."""

from dataclasses import dataclass

import flax.linen as nn
import jax

from tasks import data
from tasks.base import Task
from tasks.supervised import ACTIVATIONS, MLP, check_activation, classification_task


@dataclass(frozen=True)
class DigitsMLP:
    """A multilayer perceptron, 64 -> widths -> 10.

    Attributes:
      widths: units of each hidden layer.
      activation: a name in `tasks.supervised.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, 64) and int32
        (batch_size,).

    Raises:
      ValueError: for an unknown activation.
    """

    widths: tuple[int, ...] = (32,)
    activation: str = "relu"
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_activation(self.activation)

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths))
        return f"digits_mlp_{widths}_{self.activation}_b{self.batch_size}"

    def build(self) -> Task:
        dataset = data.digits()
        network = MLP(self.widths, dataset.classes, self.activation)
        return classification_task(self.name, network, dataset, self.batch_size)


@dataclass(frozen=True)
class DigitsConv:
    """A convolutional network in the manner of LeNet.

    3x3 convolutions with stride 2, then one dense layer. Each convolution halves the side of
    the image: 8 -> 4 -> 2.

    Reference: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998. Strides stand in for its pooling, and `activation` for its tanh.

    Attributes:
      channels: output channels of each convolution.
      activation: a name in `tasks.supervised.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, 64) and int32
        (batch_size,).

    Raises:
      ValueError: for an unknown activation.
    """

    channels: tuple[int, ...] = (8, 16)
    activation: str = "relu"
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_activation(self.activation)

    @property
    def name(self) -> str:
        channels = "x".join(map(str, self.channels))
        return f"digits_conv_{channels}_{self.activation}_b{self.batch_size}"

    def build(self) -> Task:
        dataset = data.digits()
        network = ConvNet(self.channels, dataset.classes, self.activation)
        return classification_task(self.name, network, dataset, self.batch_size)


class ConvNet(nn.Module):
    """Rows of pixels (..., 64) -> logits (..., classes)."""

    channels: tuple[int, ...]
    classes: int
    activation: str

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden = inputs.reshape((-1, 8, 8, 1))
        for channels in self.channels:
            hidden = nn.Conv(channels, kernel_size=(3, 3), strides=(2, 2))(hidden)
            hidden = ACTIVATIONS[self.activation](hidden)
        hidden = hidden.reshape((*inputs.shape[:-1], -1))
        return nn.Dense(self.classes)(hidden)
