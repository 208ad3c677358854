"""Multilayer perceptrons on labelled data."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.layers import ACTIVATIONS, INITIALIZERS, NORMALIZATIONS, check_choice, normalized
from tasks.naming import variant
from tasks.sampling import chance, choice, log_uniform_int, uniform
from tasks.supervised import Loss, classification_task


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron, features -> widths -> classes.

    Attributes:
      dataset: a name in `tasks.data.LABELLED`; its inputs are flattened.
      widths: units of each hidden layer; none for a linear model.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, *shape) and
        labels (batch_size,).
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels; biases start at 0.
      norm: a name in `tasks.layers.NORMALIZATIONS`, applied before each activation.
      loss: a name in `tasks.supervised.LOSSES`.
      label_noise: probability with which a training label is replaced by a random class.

    Raises:
      ValueError: for a name that there is none of.
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (32,)
    activation: str = "relu"
    batch_size: int = 32
    init: str = "lecun_normal"
    norm: str = "none"
    loss: Loss = "cross_entropy"
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("initializer", self.init, INITIALIZERS)
        check_choice("normalization", self.norm, NORMALIZATIONS)

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths)) or "linear"
        base = f"{self.dataset}_mlp_{widths}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "init", "norm", "loss", "label_noise")

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        outputs = dataset.outputs
        network = Perceptron(self.widths, outputs, self.activation, self.init, self.norm)
        return classification_task(
            self.name, network, dataset, self.batch_size, self.loss, self.label_noise
        )

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        depth = int(uniform(generator, 0, 4))
        return cls(
            dataset=choice(generator, ("digits", "digits", "china_8", "wine", "breast_cancer")),
            widths=(log_uniform_int(generator, 8, 128),) * depth,
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 8, 128),
            init=choice(generator, tuple(INITIALIZERS)),
            norm=choice(generator, tuple(NORMALIZATIONS)),
            loss=choice(generator, ("cross_entropy", "cross_entropy", "brier")),
            label_noise=choice(generator, (0.1, 0.3)) if chance(generator, 0.2) else 0.0,
        )


class Perceptron(nn.Module):
    """Inputs (n, *shape) -> outputs (n, outputs)."""

    widths: tuple[int, ...]
    outputs: int
    activation: str
    initializer: str = "lecun_normal"
    norm: str = "none"

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        hidden = inputs.reshape((inputs.shape[0], -1))
        for width in self.widths:
            hidden = nn.Dense(width, kernel_init=INITIALIZERS[self.initializer])(hidden)
            hidden = ACTIVATIONS[self.activation](normalized(hidden, self.norm))
        return nn.Dense(self.outputs, kernel_init=INITIALIZERS[self.initializer])(hidden)
