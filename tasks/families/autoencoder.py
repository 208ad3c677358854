"""Autoencoders on images."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr

from tasks import data
from tasks.base import Batch, Params, Split, Task, dataset_task
from tasks.data import Array, Examples
from tasks.families.mlp import Perceptron
from tasks.layers import ACTIVATIONS, INITIALIZERS, check_choice
from tasks.naming import variant
from tasks.sampling import chance, choice, log_uniform_int
from tasks.unlabelled import bernoulli_nats, drawn, flattened, intensities, mean_logits

_MASK_SEED = 2024


@dataclass(frozen=True)
class Autoencoder:
    """An autoencoder of perceptrons: pixels -> widths -> code -> widths reversed -> pixels.

    The code is linear. Two losses, each the mean over pixels x with reconstruction y:

        squared:   (y - x)^2, of standardized pixels;
        bernoulli: KL(x || sigmoid(y)), the log-loss of intensities in [0, 1] less its minimum.

    With `masked` it is a denoising autoencoder: the input has pixels set to 0, the target has not.
    The trivial predictor knows each pixel's mean.

    Reference: Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks",
    Science 2006; Vincent et al., "Extracting and composing robust features with denoising
    autoencoders", ICML 2008.

    Attributes:
      dataset: a name in `tasks.data.IMAGES`; its inputs are flattened.
      widths: hidden units of the encoder's layers, outermost first; none for a linear one.
      code: units of the code.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of two float32 (batch_size, pixels), the
        input and the target.
      loss: `"squared"` or `"bernoulli"`.
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels; biases start at 0.
      masked: probability with which a pixel of an input, training or held out, is set to 0.

    Raises:
      ValueError: for a name that there is none of, no code, or a `masked` outside [0, 1).
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (48, 24)
    code: int = 8
    activation: str = "tanh"
    batch_size: int = 32
    loss: Literal["squared", "bernoulli"] = "squared"
    init: str = "lecun_normal"
    masked: float = 0.0

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("initializer", self.init, INITIALIZERS)
        check_choice("loss", self.loss, {"squared": None, "bernoulli": None})
        if self.code < 1 or not 0 <= self.masked < 1:
            raise ValueError(
                f"Autoencoder: code {self.code} must be at least 1, "
                f"and masked {self.masked} in [0, 1)"
            )

    @property
    def name(self) -> str:
        widths = "x".join(map(str, (*self.widths, self.code)))
        base = f"{self.dataset}_autoencoder_{widths}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "loss", "init", "masked")

    def build(self) -> Task:
        vectors = flattened(data.labelled(self.dataset))
        if self.loss == "bernoulli":
            vectors = intensities(vectors)
            trivial = mean_logits(vectors.train)
        else:
            trivial = vectors.train.mean(axis=0)
        network = Bottleneck(
            self.widths, self.code, vectors.train.shape[1], self.activation, self.init
        )
        generator = np.random.Generator(np.random.PCG64(_MASK_SEED))

        def init(key: jax.Array) -> Params:
            return network.init(key, jnp.asarray(vectors.validation[:1]))["params"]

        def batch(key: jax.Array) -> Batch:
            targets = drawn(key, vectors.train, self.batch_size)
            if not self.masked:
                return Examples(targets, targets)
            kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - self.masked, targets.shape)
            return Examples(jnp.where(kept, targets, 0.0), targets)

        def loss(params: Params, batch: Batch) -> jax.Array:
            outputs: Any = network.apply({"params": params}, batch.inputs)
            return reconstruction_loss(outputs, batch.labels, self.loss)

        def masked(targets: Array) -> Examples[Array]:
            kept = generator.random(targets.shape) >= self.masked
            return Examples(np.where(kept, targets, np.float32(0)), targets)

        held_out: dict[Split, Batch] = {
            "validation": masked(vectors.validation),
            "test": masked(vectors.test),
        }
        guess = jnp.broadcast_to(jnp.asarray(trivial, jnp.float32)[None], vectors.validation.shape)
        trivial_loss = reconstruction_loss(guess, jnp.asarray(vectors.validation), self.loss)
        return dataset_task(self.name, init, batch, loss, held_out, float(trivial_loss))

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        first = log_uniform_int(generator, 16, 96)
        return cls(
            dataset=choice(generator, ("digits", "china_8")),
            widths=choice(generator, ((), (first,), (first, first // 2))),
            code=log_uniform_int(generator, 2, 24),
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 8, 64),
            loss=choice(generator, ("squared", "bernoulli")),
            init=choice(generator, tuple(INITIALIZERS)),
            masked=choice(generator, (0.1, 0.3)) if chance(generator, 0.3) else 0.0,
        )


def reconstruction_loss(outputs: jax.Array, targets: jax.Array, loss: str) -> jax.Array:
    """The loss of that name, see `Autoencoder`, of outputs and targets (n, pixels)."""
    if loss == "squared":
        return jnp.mean((outputs - targets) ** 2)
    entropy = entr(targets) + entr(1 - targets)
    return jnp.mean(bernoulli_nats(outputs, targets) - entropy)


class Bottleneck(nn.Module):
    """Vectors (n, pixels) -> (n, pixels), through a code."""

    widths: tuple[int, ...]
    code: int
    pixels: int
    activation: str
    initializer: str

    def setup(self) -> None:
        self.encoder = Perceptron(self.widths, self.code, self.activation, self.initializer)
        self.decoder = Perceptron(self.widths[::-1], self.pixels, self.activation, self.initializer)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.decoder(self.encoder(inputs))
