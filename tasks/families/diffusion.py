"""Denoising diffusion models of small images and of points in the plane.

At time t in [0, 1] an example x has become, with noise e ~ N(0, I),

    x_t = sqrt(a(t)) x + sqrt(1 - a(t)) e,

and the loss is the mean of (network(x_t, t) - e)^2 over dimensions and times, uniform in [0, 1].
What is left of the signal, a(t), follows one of two schedules:

    cosine: a(t) = cos^2(pi t / 2)
    linear: a(t) = exp(-t (0.1 + 9.95 t)), the limit of many steps, variance rising linearly.

A batch carries x, t and e; on held-out data t and e are drawn once.

Reference: Ho, Jain, Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020 (arXiv
2006.11239); Song et al., "Score-based generative modeling through stochastic differential
equations", ICLR 2021 (arXiv 2011.13456), for continuous time; Nichol, Dhariwal, "Improved denoising
diffusion probabilistic models", ICML 2021 (arXiv 2102.09672), for the cosine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

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
from tasks.unlabelled import Vectors, drawn, flattened

_FREQUENCIES = 4
_SEED = 2024
_POINTS = 2048, 512, 512


class Draw(NamedTuple):
    """Examples (n, dimension), times (n, 1), noise (n, dimension): NumPy arrays, or jax's."""

    examples: Array | jax.Array
    times: Array | jax.Array
    noise: Array | jax.Array


@dataclass(frozen=True)
class Diffusion:
    """A perceptron that tells the noise from the noisy example and the time.

    Times enter as sin(2^k pi t) and cos(2^k pi t), k = 0..3. The trivial predictor says 0, the mean
    of the noise.

    Attributes:
      dataset: a name in `tasks.data.IMAGES`, whose inputs are flattened, or in `POINTS`.
      widths: hidden units of each layer.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: examples a batch, each with a time of its own; a batch is a `Draw` of float32
        arrays.
      schedule: `"cosine"` or `"linear"`.

    Raises:
      ValueError: for a name that there is none of.
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (64, 64)
    activation: str = "silu"
    batch_size: int = 64
    schedule: Literal["cosine", "linear"] = "cosine"

    def __post_init__(self) -> None:
        check_choice("data set", self.dataset, {**POINTS, **data.IMAGES})
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("schedule", self.schedule, SCHEDULES)

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths)) or "linear"
        base = f"{self.dataset}_diffusion_{widths}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "schedule")

    def build(self) -> Task:
        vectors = (
            points(self.dataset)
            if self.dataset in POINTS
            else flattened(data.labelled(self.dataset))
        )
        network = Denoiser(self.widths, self.activation)
        generator = np.random.Generator(np.random.PCG64(_SEED))

        def init(key: jax.Array) -> Params:
            example = jnp.asarray(vectors.validation[:1])
            return network.init(key, example, jnp.zeros((1, 1), jnp.float32))["params"]

        def batch(key: jax.Array) -> Batch:
            which, when, what = jax.random.split(key, 3)
            examples = drawn(which, vectors.train, self.batch_size)
            times = jax.random.uniform(when, (self.batch_size, 1), jnp.float32)
            return Draw(examples, times, jax.random.normal(what, examples.shape, jnp.float32))

        def loss(params: Params, batch: Batch) -> jax.Array:
            signal = SCHEDULES[self.schedule](batch.times)
            noisy = jnp.sqrt(signal) * batch.examples + jnp.sqrt(1 - signal) * batch.noise
            predicted = network.apply({"params": params}, noisy, batch.times)
            return jnp.mean((predicted - batch.noise) ** 2)

        def fixed(examples: Array) -> Draw:
            times = generator.random((len(examples), 1)).astype(np.float32)
            noise = generator.standard_normal(examples.shape).astype(np.float32)
            return Draw(examples, times, noise)

        held_out: dict[Split, Draw] = {
            "validation": fixed(vectors.validation),
            "test": fixed(vectors.test),
        }
        trivial_loss = float(np.mean(np.square(held_out["validation"].noise)))
        return dataset_task(self.name, init, batch, loss, held_out, trivial_loss)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        depth = choice(generator, (1, 2, 3))
        return cls(
            dataset=choice(generator, ("digits", "china_8", "moons", "gaussians", "checkerboard")),
            widths=(log_uniform_int(generator, 16, 80),) * depth,
            activation=choice(generator, tuple(ACTIVATIONS)),
            batch_size=log_uniform_int(generator, 16, 64),
            schedule=choice(generator, ("cosine", "linear")),
        )


SCHEDULES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "cosine": lambda times: jnp.cos(0.5 * jnp.pi * times) ** 2,
    "linear": lambda times: jnp.exp(-times * (0.1 + 9.95 * times)),
}
"""The schedules a configuration may name: times -> a, the share of the signal's variance."""


class Denoiser(nn.Module):
    """Noisy examples (n, dimension) and times (n, 1) -> the noise (n, dimension)."""

    widths: tuple[int, ...]
    activation: str

    @nn.compact
    def __call__(self, noisy: jax.Array, times: jax.Array) -> jax.Array:
        angles = times * (jnp.pi * 2.0 ** jnp.arange(_FREQUENCIES, dtype=jnp.float32))[None]
        inputs = jnp.concatenate([noisy, jnp.sin(angles), jnp.cos(angles)], axis=-1)
        return Perceptron(self.widths, noisy.shape[-1], self.activation)(inputs)


# ---------------------------------------------------------------- points in the plane


def _moons(uniform: Array, normal: Array) -> Array:
    """Two half circles, each around an end of the other."""
    angles, lower = np.pi * uniform[:, 0], uniform[:, 1] < 0.5
    across = np.where(lower, 1 - np.cos(angles), np.cos(angles))
    up = np.where(lower, 0.5 - np.sin(angles), np.sin(angles))
    return np.stack([across, up], axis=1) + 0.1 * normal


def _gaussians(uniform: Array, normal: Array) -> Array:
    """Eight Gaussians on a circle."""
    angles = 0.25 * np.pi * np.floor(8 * uniform[:, 0])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.1 * normal


def _checkerboard(uniform: Array, _: Array) -> Array:
    """The black fields of a board of four by four."""
    column, row = np.floor(4 * uniform[:, 0]), np.floor(2 * uniform[:, 1])
    return np.stack([4 * uniform[:, 0], 2 * uniform[:, 1] + row + column % 2], axis=1)


def _spiral(uniform: Array, normal: Array) -> Array:
    """One and a half turns of a spiral."""
    angles = 1.5 * np.pi * (1 + 2 * np.sqrt(uniform[:, 0]))
    return (angles * np.stack([np.cos(angles), np.sin(angles)])).T / 5 + 0.1 * normal


POINTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "moons": _moons,
    "gaussians": _gaussians,
    "checkerboard": _checkerboard,
    "spiral": _spiral,
}
"""Distributions of points: from uniform and from normal numbers (n, 2) -> points (n, 2)."""


def points(name: str) -> Vectors:
    """2048 training points, 512 validation, 512 test; each axis is standardized by training."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    size = (sum(_POINTS), 2)
    sampled = POINTS[name](generator.random(size), generator.standard_normal(size))
    train = sampled[: _POINTS[0]]
    standardized = ((sampled - train.mean(axis=0)) / train.std(axis=0)).astype(np.float32)
    return Vectors(*np.split(standardized, np.cumsum(_POINTS[:-1])))
