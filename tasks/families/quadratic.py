"""Noisy convex quadratics with a known spectrum.

The objective is f(x) = 1/2 (x - c)^T A (x - c), A = Q diag(s) Q^T, with Q a random rotation and s
log-uniform in [1 / condition_number, 1], both ends present. A batch is a draw e ~ N(0, I), and the
loss of a batch is

    f(x) + noise * e^T diag(s)^(1/2) Q^T (x - c),

whose gradient is that of f plus noise of covariance noise^2 A: as in a well-fitted network,
gradients are noisiest along the steepest directions.

Reference: Zhang et al., "Which algorithmic choices matter at which batch sizes? Insights from a
noisy quadratic model", NeurIPS 2019 (arXiv 1907.04164), whose gradient covariance is likewise
proportional to the Hessian.
"""

import math
from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.data import Array
from tasks.sampling import chance, log_uniform, log_uniform_int

_INIT_SCALE = 0.1


@dataclass(frozen=True)
class Quadratic:
    """A quadratic over several tensors: x is all of them, flattened and laid end to end.

    The minimum is 0, and c is scaled so that the origin's loss is 1. Parameters start near the
    origin, N(0, 0.1^2) each. There is no data: `evaluate` is f itself on both splits.

    Attributes:
      shapes: shapes of the parameter tensors, at least two; parameters are the dict {"tensor_0":
        ..., "tensor_1": ...}.
      condition_number: largest eigenvalue over smallest; the largest is 1.
      noise: scale of the gradient noise (see the module); a batch is float32 (dimension,).
      seed: fixes spectrum, rotation and minimum.

    Raises:
      ValueError: for fewer than two tensors, a condition number below 1, or negative noise.
    """

    shapes: tuple[tuple[int, ...], ...] = ((12, 8), (4,))
    condition_number: float = 100.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.shapes) < 2:
            raise ValueError(f"Quadratic: shapes {self.shapes} has fewer than two tensors; add one")
        if self.condition_number < 1 or self.noise < 0:
            raise ValueError(
                f"Quadratic: condition_number {self.condition_number} must be at least 1, "
                f"and noise {self.noise} at least 0"
            )

    @property
    def dimension(self) -> int:
        return sum(map(math.prod, self.shapes))

    @property
    def name(self) -> str:
        shapes = "_".join("x".join(map(str, shape)) for shape in self.shapes)
        return (
            f"quadratic_{shapes}_cond{self.condition_number:g}_noise{self.noise:g}_seed{self.seed}"
        )

    def build(self) -> Task:
        spectrum, rotation, center = (array.astype(np.float32) for array in sample(self))
        deviations = (self.noise * np.sqrt(spectrum)).astype(np.float32)

        def rotated(params: Params) -> jax.Array:
            """Q^T (x - c); here A is diagonal, so float32 keeps its smallest eigenvalues."""
            tensors = [params[f"tensor_{i}"].reshape(-1) for i in range(len(self.shapes))]
            difference = jnp.concatenate(tensors) - jnp.asarray(center)
            # A GPU rounds the factors of a default product to ten bits: too few for an
            # ill-conditioned problem.
            exact = jax.lax.Precision.HIGHEST
            return jnp.matmul(difference, jnp.asarray(rotation), precision=exact)

        def init(key: jax.Array) -> Params:
            keys = jax.random.split(key, len(self.shapes))
            return {
                f"tensor_{i}": _INIT_SCALE * jax.random.normal(keys[i], shape, jnp.float32)
                for i, shape in enumerate(self.shapes)
            }

        def batch(key: jax.Array) -> Batch:
            return jax.random.normal(key, (self.dimension,), jnp.float32)

        def loss(params: Params, batch: Batch) -> jax.Array:
            position = rotated(params)
            objective = 0.5 * jnp.sum(jnp.asarray(spectrum) * position**2)
            return objective + jnp.sum(jnp.asarray(deviations) * batch * position)

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return 0.5 * jnp.sum(jnp.asarray(spectrum) * rotated(params) ** 2)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        rows, columns = (log_uniform_int(generator, 2, 16) for _ in range(2))
        return cls(
            shapes=((rows, columns), (columns,)),
            condition_number=log_uniform(generator, 1.0, 1e5),
            noise=log_uniform(generator, 0.01, 1.0) if chance(generator, 0.5) else 0.0,
            seed=log_uniform_int(generator, 1, 1000),
        )


def sample(config: Quadratic) -> tuple[Array, Array, Array]:
    """Draw a quadratic from its seed.

    Returns:
      In float64: the spectrum s (d,), ascending; the rotation Q (d, d); the minimum c (d,).
    """
    generator = np.random.Generator(np.random.PCG64(config.seed))
    spectrum = random_spectrum(generator, config.dimension, config.condition_number)
    rotation = random_rotation(generator, config.dimension)
    center = generator.standard_normal(config.dimension)
    origin_loss = 0.5 * np.sum(spectrum * (center @ rotation) ** 2)
    return spectrum, rotation, center / np.sqrt(origin_loss)


def random_spectrum(
    generator: np.random.Generator, dimension: int, condition_number: float
) -> Array:
    """Eigenvalues (dimension,), ascending and log-uniform in [1 / condition_number, 1].

    Both ends are present; a single eigenvalue is 1.
    """
    exponents = np.sort(generator.uniform(-1.0, 0.0, dimension))
    exponents[0], exponents[-1] = -1.0, 0.0
    return condition_number**exponents


def random_rotation(generator: np.random.Generator, dimension: int) -> Array:
    """An orthogonal matrix (dimension, dimension), uniform over them."""
    factor, triangle = np.linalg.qr(generator.standard_normal((dimension, dimension)))
    # Without the signs, Q is not uniform over rotations and depends on the LAPACK at hand.
    return factor * np.sign(np.diag(triangle))[None, :]
