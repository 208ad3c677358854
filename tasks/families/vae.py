"""Variational autoencoders on images.

The loss is the negative evidence lower bound in nats a pixel, with one draw z of the code:

    z = m + exp(v / 2) * e,   (m, v) = encoder(x),   e ~ N(0, I)
    loss = (-log p(x | decoder(z)) + KL(N(m, exp(v)) || N(0, I))) / pixels.

A batch carries x and e; on held-out data e is drawn once. Neither term can be negative: Bernoulli
pixels are white (1) where the image is brighter than the mean of all training pixels, else black
(0); Gaussian pixels have variance 1 / (2 pi), at which the largest density is 1, so that

    -log p(x | y) = pi * |x - y|^2.

Reference: Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014 (arXiv 1312.6114).
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Batch, Params, Split, Task, dataset_task
from tasks.data import Array
from tasks.families.mlp import Perceptron
from tasks.layers import ACTIVATIONS, check_choice
from tasks.naming import variant
from tasks.sampling import choice, log_uniform_int
from tasks.unlabelled import Vectors, bernoulli_nats, drawn, flattened, mean_logits

_NOISE_SEED = 2024


class Draw(NamedTuple):
    """Images (n, pixels) with the noise (n, code) of their codes: NumPy arrays, or jax's."""

    images: Array | jax.Array
    noise: Array | jax.Array


@dataclass(frozen=True)
class VAE:
    """A variational autoencoder of perceptrons: pixels -> widths -> code -> widths -> pixels.

    The trivial predictor makes no use of its code, which costs it nothing, and knows each pixel's
    mean.

    Attributes:
      dataset: a name in `tasks.data.IMAGES`; its inputs are flattened.
      widths: hidden units of the encoder's layers; the decoder's are these in reverse.
      code: dimension of the code.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch; a batch is a `Draw` of float32 arrays.
      likelihood: `"bernoulli"`, of black and white pixels, or `"gaussian"`, of standardized ones.

    Raises:
      ValueError: for a name that there is none of, or no code.
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (48,)
    code: int = 4
    activation: str = "tanh"
    batch_size: int = 32
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset, images=True)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("likelihood", self.likelihood, {"bernoulli": None, "gaussian": None})
        if self.code < 1:
            raise ValueError(f"VAE: code {self.code} must be at least 1")

    @property
    def name(self) -> str:
        widths = "x".join(map(str, (*self.widths, self.code)))
        base = f"{self.dataset}_vae_{widths}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "likelihood")

    def build(self) -> Task:
        vectors = flattened(data.labelled(self.dataset))
        if self.likelihood == "bernoulli":
            threshold = vectors.train.mean()
            vectors = Vectors(*((part > threshold).astype(np.float32) for part in vectors))
            trivial = mean_logits(vectors.train)
        else:
            trivial = vectors.train.mean(axis=0)
        network = Variational(self.widths, self.code, vectors.train.shape[1], self.activation)
        generator = np.random.Generator(np.random.PCG64(_NOISE_SEED))

        def init(key: jax.Array) -> Params:
            image = jnp.asarray(vectors.validation[:1])
            return network.init(key, image, jnp.zeros((1, self.code), jnp.float32))["params"]

        def batch(key: jax.Array) -> Batch:
            which, what = jax.random.split(key)
            noise = jax.random.normal(what, (self.batch_size, self.code), jnp.float32)
            return Draw(drawn(which, vectors.train, self.batch_size), noise)

        def loss(params: Params, batch: Batch) -> jax.Array:
            applied: Any = network.apply({"params": params}, *batch)
            mean, log_variance, outputs = applied
            nats = pixel_nats(outputs, batch.images, self.likelihood).sum(axis=-1)
            return jnp.mean(nats + divergence(mean, log_variance)) / batch.images.shape[-1]

        def fixed(images: Array) -> Draw:
            noise = generator.standard_normal((len(images), self.code))
            return Draw(images, noise.astype(np.float32))

        held_out: dict[Split, Draw] = {
            "validation": fixed(vectors.validation),
            "test": fixed(vectors.test),
        }
        images = jnp.asarray(held_out["validation"].images)
        guess = jnp.broadcast_to(jnp.asarray(trivial, jnp.float32)[None], images.shape)
        trivial_loss = float(jnp.mean(pixel_nats(guess, images, self.likelihood)))
        return dataset_task(self.name, init, batch, loss, held_out, trivial_loss)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        first = log_uniform_int(generator, 16, 96)
        return cls(
            dataset=choice(generator, ("digits", "china_8")),
            widths=choice(generator, ((first,), (first,), (first, first // 2))),
            code=log_uniform_int(generator, 2, 16),
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 8, 64),
            likelihood=choice(generator, ("bernoulli", "gaussian")),
        )


def pixel_nats(outputs: jax.Array, images: jax.Array, likelihood: str) -> jax.Array:
    """-log p of each pixel; the outputs are logits, or means."""
    if likelihood == "bernoulli":
        return bernoulli_nats(outputs, images)
    return jnp.pi * (outputs - images) ** 2


def divergence(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) || N(0, I)) in nats, over the last axis."""
    return 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1)


class Variational(nn.Module):
    """Images (n, pixels), noise (n, code) -> mean, log-variance of the code, output (n, pixels)."""

    widths: tuple[int, ...]
    code: int
    pixels: int
    activation: str

    def setup(self) -> None:
        self.encoder = Perceptron(self.widths, 2 * self.code, self.activation)
        self.decoder = Perceptron(self.widths[::-1], self.pixels, self.activation)

    def __call__(
        self, images: jax.Array, noise: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, log_variance = jnp.split(self.encoder(images), 2, axis=-1)
        codes = mean + jnp.exp(0.5 * log_variance) * noise
        return mean, log_variance, self.decoder(codes)
