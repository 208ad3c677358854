"""Two-player games: the gradient is each player's own, and there is nothing that both descend.

A game is minimized by x and by y, each of its own objective. The `loss` here has the gradient
(d f_x / dx, d f_y / dy), a vector field that is the gradient of no function; its value says how far
the players are from equilibrium. `value_with_gradient_of` puts the two together.

Reference: Mescheder, Nowozin, Geiger, "The numerics of GANs", NeurIPS 2017 (arXiv 1705.10461).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split, dataset_task
from tasks.data import Array
from tasks.families.mlp import Perceptron
from tasks.families.quadratic import random_rotation, random_spectrum
from tasks.layers import ACTIVATIONS, check_choice
from tasks.naming import variant
from tasks.sampling import chance, choice, log_uniform, log_uniform_int

_INIT_SCALE = 0.1
_HELD_OUT = 256

# Of the ring of Gaussians, as in Metz et al. 2016.
_RADIUS = 2.0
_DEVIATION = 0.02

fixed = jax.lax.stop_gradient


def value_with_gradient_of(value: jax.Array, surrogate: jax.Array) -> jax.Array:
    """A scalar that equals `value` and whose gradient is that of `surrogate`."""
    return surrogate - fixed(surrogate) + fixed(value)


# ---------------------------------------------------------------- bilinear


@dataclass(frozen=True)
class Bilinear:
    """A bilinear game, min over x and max over y, with a known saddle point.

        g(x, y) = (x - a)^T A (y - b) + regularization / 2 (|x - a|^2 - |y - b|^2),

    with A = U diag(s) V^T, U and V random rotations, s log-uniform in [1 / condition_number, 1] and
    a, b ~ N(0, I); the saddle point is (a, b). Without regularization gradient descent circles it
    and spirals away; optimism, averaging or negative momentum converges. Parameters start near the
    origin, N(0, 0.1^2) each.

    The value, of `loss` and of `evaluate` on both splits, is the squared distance to the saddle
    point in units of the origin's, so the trivial loss, the origin's, is 1. A batch e ~ N(0, I)
    adds noise * e to the gradient. Many an optimizer, Adam among them, ends above 1 on the
    unregularized game.

    Reference: Daskalakis, Ilyas, Syrgkanis, Zeng, "Training GANs with optimism", ICLR 2018 (arXiv
    1711.00141); Gidel et al., "Negative momentum for improved game dynamics", 2018 (arXiv
    1807.04740).

    Attributes:
      dimension: variables of each player; parameters are {"minimizer": (d,), "maximizer": (d,)}.
      condition_number: largest singular value of A over the smallest; the largest is 1.
      regularization: how strongly convex (concave) the game is for each player.
      noise: standard deviation of each coordinate's gradient noise; a batch is float32 (2, d).
      seed: fixes A and the saddle point.

    Raises:
      ValueError: for a dimension or condition number below 1, or a negative number.
    """

    dimension: int = 16
    condition_number: float = 10.0
    regularization: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dimension < 1 or self.condition_number < 1:
            raise ValueError(
                f"Bilinear: dimension {self.dimension} and condition_number "
                f"{self.condition_number} must be at least 1"
            )
        if self.regularization < 0 or self.noise < 0:
            raise ValueError(
                f"Bilinear: regularization {self.regularization} and noise {self.noise} "
                "must be at least 0"
            )

    @property
    def name(self) -> str:
        base = f"bilinear_d{self.dimension}_cond{self.condition_number:g}"
        return base + variant(self, "regularization", "noise", "seed")

    def build(self) -> Task:
        coupling, *saddle = (array.astype(np.float32) for array in bilinear_game(self))
        unit = float(sum(np.sum(part**2) for part in saddle))

        def players(params: Params) -> tuple[jax.Array, jax.Array]:
            """Each player's distance from the saddle point: x - a and y - b."""
            return (
                params["minimizer"] - jnp.asarray(saddle[0]),
                params["maximizer"] - jnp.asarray(saddle[1]),
            )

        def payoff(x: jax.Array, y: jax.Array) -> jax.Array:
            exact = jax.lax.Precision.HIGHEST
            bilinear = jnp.sum(x * jnp.matmul(jnp.asarray(coupling), y, precision=exact))
            return bilinear + 0.5 * self.regularization * (jnp.sum(x**2) - jnp.sum(y**2))

        def init(key: jax.Array) -> Params:
            start = _INIT_SCALE * jax.random.normal(key, (2, self.dimension), jnp.float32)
            return {"minimizer": start[0], "maximizer": start[1]}

        def batch(key: jax.Array) -> Batch:
            return jax.random.normal(key, (2, self.dimension), jnp.float32)

        def distance(params: Params) -> jax.Array:
            return sum(jnp.sum(part**2) for part in players(params)) / jnp.float32(unit)

        def loss(params: Params, batch: Batch) -> jax.Array:
            x, y = players(params)
            noise = self.noise * (jnp.sum(batch[0] * x) + jnp.sum(batch[1] * y))
            surrogate = payoff(x, fixed(y)) - payoff(fixed(x), y) + noise
            return value_with_gradient_of(distance(params), surrogate)

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return distance(params)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            dimension=log_uniform_int(generator, 2, 64),
            condition_number=log_uniform(generator, 1.0, 100.0),
            regularization=(log_uniform(generator, 0.01, 1.0) if chance(generator, 0.75) else 0.0),
            noise=log_uniform(generator, 0.01, 0.3) if chance(generator, 0.5) else 0.0,
            seed=log_uniform_int(generator, 1, 1000),
        )


def bilinear_game(config: Bilinear) -> tuple[Array, Array, Array]:
    """Draw a game from its seed: in float64 the matrix A (d, d), and the saddle point a, b (d,)."""
    generator = np.random.Generator(np.random.PCG64(config.seed))
    singular = random_spectrum(generator, config.dimension, config.condition_number)
    left, right = (random_rotation(generator, config.dimension) for _ in range(2))
    a, b = generator.standard_normal((2, config.dimension))
    return left * singular[None, :] @ right.T, a, b


# ---------------------------------------------------------------- generative adversarial network


class Adversary(NamedTuple):
    """What discriminator and generator minimize, of the discriminator's scores."""

    real: Callable[[jax.Array], jax.Array]
    fake: Callable[[jax.Array], jax.Array]
    generator: Callable[[jax.Array], jax.Array]


ADVERSARIES: Mapping[str, Adversary] = {
    "non_saturating": Adversary(
        lambda score: jax.nn.softplus(-score),
        jax.nn.softplus,
        lambda score: jax.nn.softplus(-score),
    ),
    "hinge": Adversary(
        lambda score: jax.nn.relu(1.0 - score),
        lambda score: jax.nn.relu(1.0 + score),
        lambda score: -score,
    ),
    "least_squares": Adversary(
        lambda score: (score - 1.0) ** 2, lambda score: score**2, lambda score: (score - 1.0) ** 2
    ),
}
"""The adversarial losses: Goodfellow 2014, Lim and Ye 2017 (arXiv 1705.02894), Mao et al. 2016
(arXiv 1611.04076)."""


class Samples(NamedTuple):
    """Real points (n, 2), and the latent vectors (n, latent) that generated ones are made of."""

    real: jax.Array | Array
    latent: jax.Array | Array


@dataclass(frozen=True)
class GAN:
    """A generative adversarial network on a ring of Gaussians in the plane.

    Generator G and discriminator D are perceptrons of the same hidden widths. With the functions of
    `ADVERSARIES`, and on real points x,

        D minimizes  mean real(D(x)) + mean fake(D(G(z))) + penalty / 2 mean |dD(x)/dx|^2,
        G minimizes  mean generator(D(G(z))).

    Without the penalty the game need not settle even near its equilibrium. The value, of `loss` on
    a batch and of `evaluate` on fixed samples, is the energy distance of generated to real points,
    which is at least 0 and leaves the gradient alone. The trivial loss is that of a generator that
    gives the ring's centre for every z.

    Reference: Goodfellow et al., "Generative adversarial networks", 2014 (arXiv 1406.2661); Metz,
    Poole, Pfau, Sohl-Dickstein, "Unrolled generative adversarial networks", 2016 (arXiv
    1611.02163), for the ring of eight Gaussians, of radius 2 and standard deviation 0.02;
    Mescheder, Geiger, Nowozin, "Which training methods for GANs do actually converge?", 2018 (arXiv
    1801.04406); Szekely, Rizzo, "Energy statistics", 2013, for the distance.

    Attributes:
      widths: units of each hidden layer of either network.
      latent: dimension of z ~ N(0, I).
      modes: Gaussians on the ring.
      adversary: a name in `ADVERSARIES`.
      activation: a name in `tasks.layers.ACTIVATIONS`.
      batch_size: points a batch; a batch is `Samples` of float32.
      penalty: weight of the discriminator's gradient penalty; 0 for none.

    Raises:
      ValueError: for a name that there is none of, a size below 1, or a negative penalty.
    """

    widths: tuple[int, ...] = (32, 32)
    latent: int = 4
    modes: int = 8
    adversary: str = "non_saturating"
    activation: str = "relu"
    batch_size: int = 64
    penalty: float = 1.0

    def __post_init__(self) -> None:
        check_choice("adversary", self.adversary, ADVERSARIES)
        check_choice("activation", self.activation, ACTIVATIONS)
        if min(*self.widths, self.latent, self.modes, self.batch_size) < 1 or self.penalty < 0:
            raise ValueError(
                f"GAN: widths {self.widths}, latent {self.latent}, modes {self.modes} and "
                f"batch_size {self.batch_size} must be at least 1, and penalty {self.penalty} at "
                "least 0"
            )

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths))
        base = f"ring{self.modes}_gan_{widths}_z{self.latent}_{self.activation}_b{self.batch_size}"
        return base + variant(self, "adversary", "penalty")

    def build(self) -> Task:
        generator = Perceptron(self.widths, 2, self.activation)
        discriminator = Perceptron(self.widths, 1, self.activation)
        adversary = ADVERSARIES[self.adversary]

        def init(key: jax.Array) -> Params:
            first, second = jax.random.split(key)
            return {
                "generator": generator.init(first, jnp.zeros((1, self.latent)))["params"],
                "discriminator": discriminator.init(second, jnp.zeros((1, 2)))["params"],
            }

        def generated(params: Params, latent: jax.Array) -> jax.Array:
            return generator.apply({"params": params["generator"]}, latent)  # pyright: ignore[reportReturnType]

        def scores(weights: Params, points: jax.Array) -> jax.Array:
            return discriminator.apply({"params": weights}, points)  # pyright: ignore[reportReturnType]

        def steepness(weights: Params, points: jax.Array) -> jax.Array:
            slopes = jax.grad(lambda x: jnp.sum(scores(weights, x)))(points)
            return jnp.mean(jnp.sum(slopes**2, axis=-1))

        def batch(key: jax.Array) -> Batch:
            which, where, latent = jax.random.split(key, 3)
            mode = jax.random.randint(which, (self.batch_size,), 0, self.modes, jnp.int32)
            noise = jax.random.normal(where, (self.batch_size, 2), jnp.float32)
            return Samples(
                ring(mode, self.modes) + _DEVIATION * noise,
                jax.random.normal(latent, (self.batch_size, self.latent), jnp.float32),
            )

        def loss(params: Params, batch: Batch) -> jax.Array:
            fake = generated(params, batch.latent)
            critic = params["discriminator"]
            surrogate = (
                jnp.mean(adversary.real(scores(critic, batch.real)))
                + jnp.mean(adversary.fake(scores(critic, fixed(fake))))
                + jnp.mean(adversary.generator(scores(fixed(critic), fake)))
                + 0.5 * self.penalty * steepness(critic, batch.real)
            )
            return value_with_gradient_of(energy_distance(fixed(fake), batch.real), surrogate)

        def distance(params: Params, batch: Batch) -> jax.Array:
            return energy_distance(generated(params, batch.latent), batch.real)

        def held_out(seed: int) -> Samples:
            draws = np.random.Generator(np.random.PCG64(seed))
            noise = draws.standard_normal((_HELD_OUT, 2 + self.latent)).astype(np.float32)
            mode = np.arange(_HELD_OUT, dtype=np.int32) % self.modes
            with jax.ensure_compile_time_eval():
                centers = np.asarray(ring(jnp.asarray(mode), self.modes))
            return Samples(centers + np.float32(_DEVIATION) * noise[:, :2], noise[:, 2:])

        validation = held_out(1)
        with jax.ensure_compile_time_eval():
            real = jnp.asarray(validation.real)
            trivial = float(energy_distance(jnp.zeros_like(real), real))
        splits: dict[Split, Samples] = {"validation": validation, "test": held_out(2)}
        task = dataset_task(self.name, init, batch, distance, splits, trivial)
        return replace(task, loss=loss)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            widths=(log_uniform_int(generator, 8, 64),) * choice(generator, (1, 2, 2)),
            latent=log_uniform_int(generator, 2, 16),
            modes=log_uniform_int(generator, 2, 12),
            adversary=choice(generator, tuple(ADVERSARIES)),
            activation=choice(generator, ("relu", "tanh", "leaky_relu", "silu")),
            batch_size=log_uniform_int(generator, 16, 128),
            penalty=log_uniform(generator, 0.03, 3.0),
        )


def ring(mode: jax.Array, modes: int) -> jax.Array:
    """The centres (n, 2) of the modes int32 (n,), at even angles on a circle of radius 2."""
    angle = 2.0 * jnp.pi * mode.astype(jnp.float32) / modes
    return _RADIUS * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)


def energy_distance(left: jax.Array, right: jax.Array) -> jax.Array:
    """2 E|x - y| - E|x - x'| - E|y - y'|, at least 0, over all pairs of (n, k) and (m, k)."""

    def mean_distance(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.mean(jnp.sqrt(jnp.sum((a[:, None] - b[None]) ** 2, axis=-1)))

    across, within = mean_distance(left, right), mean_distance(left, left)
    return jnp.maximum(2.0 * across - within - mean_distance(right, right), 0.0)
