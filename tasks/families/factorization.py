"""Matrix factorizations and deep linear networks: products of matrices with a known optimum.

Neither is convex, both have saddles and valleys of equivalent minima, and in both the loss of a
perfect fit is 0.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.data import Array
from tasks.families.quadratic import random_rotation, random_spectrum
from tasks.naming import variant
from tasks.sampling import choice, log_uniform, log_uniform_int, uniform

Observed = Literal["entries", "gaussian"]


@dataclass(frozen=True)
class Factorization:
    """A matrix M (rows, columns) of low rank, approached by U V^T from a few measurements a batch.

    With the residual R = U V^T - M, the loss is an unbiased estimate of the relative squared error
    |R|_F^2 / |M|_F^2, which is also what `evaluate` gives on both splits; the trivial loss is that
    of the origin, 1.

        entries:   the mean of R_ij^2 over a random `measurements` of all entries (matrix
                   completion, with other entries seen in every batch)
        gaussian:  the mean of <A, R>^2 over `measurements` matrices of N(0, 1) (matrix sensing)

    U and V start as N(0, init_scale^2): from a small scale training leaves the saddle at the origin
    slowly, one singular value after another.

    Reference: Burer, Monteiro, "A nonlinear programming algorithm for solving semidefinite programs
    via low-rank factorization", 2003; Gunasekar et al., "Implicit regularization in matrix
    factorization", NeurIPS 2017 (arXiv 1705.09280).

    Attributes:
      rows, columns: shape of M.
      rank: of M.
      width: columns of U and V, at least `rank`; more than `rank` is overparametrized. Parameters
        are {"left": (rows, width), "right": (columns, width)}.
      condition_number: largest singular value of M over the smallest that is not 0.
      observed: `"entries"` or `"gaussian"`; a batch is float32 (rows, columns) of zeros and ones,
        or (measurements, rows * columns).
      measurements: how many a batch, for `"entries"` in expectation.
      init_scale: standard deviation of the initial U and V, in units of what |U V^T| = |M| takes.
      seed: fixes M.

    Raises:
      ValueError: for a name that there is none of, or sizes that do not fit.
    """

    rows: int = 16
    columns: int = 12
    rank: int = 3
    width: int = 3
    condition_number: float = 10.0
    observed: Observed = "entries"
    measurements: int = 64
    init_scale: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.observed not in get_args(Observed):
            known = ", ".join(get_args(Observed))
            raise ValueError(f"Factorization: unknown observed {self.observed!r}: one of {known}")
        if not 1 <= self.rank <= min(self.rows, self.columns, self.width):
            raise ValueError(
                f"Factorization: rank {self.rank} must be at least 1 and at most rows {self.rows}, "
                f"columns {self.columns} and width {self.width}"
            )
        most = self.rows * self.columns
        if self.measurements < 1 or (self.observed == "entries" and self.measurements > most):
            raise ValueError(
                f"Factorization: measurements {self.measurements} must be at least 1, and of "
                f"entries at most the {most} that there are"
            )
        if self.condition_number < 1 or self.init_scale <= 0:
            raise ValueError(
                f"Factorization: condition_number {self.condition_number} must be at least 1, and "
                f"init_scale {self.init_scale} positive"
            )

    @property
    def name(self) -> str:
        base = f"factorization_{self.rows}x{self.columns}_rank{self.rank}_m{self.measurements}"
        return base + variant(self, "width", "condition_number", "observed", "init_scale", "seed")

    def build(self) -> Task:
        matrix = low_rank_matrix(self).astype(np.float32)
        size = self.rows * self.columns

        def residual(params: Params) -> jax.Array:
            exact = jax.lax.Precision.HIGHEST
            product = jnp.matmul(params["left"], params["right"].T, precision=exact)
            return product - jnp.asarray(matrix)

        def init(key: jax.Array) -> Params:
            # |M|^2 = size, and |U V^T|^2 = size * width in expectation where entries are N(0, 1).
            scale = self.init_scale * self.width**-0.25
            left, right = jax.random.split(key)
            return {
                "left": scale * jax.random.normal(left, (self.rows, self.width), jnp.float32),
                "right": scale * jax.random.normal(right, (self.columns, self.width), jnp.float32),
            }

        def batch(key: jax.Array) -> Batch:
            if self.observed == "entries":
                share = self.measurements / size
                seen = jax.random.bernoulli(key, share, (self.rows, self.columns))
                return seen.astype(jnp.float32)
            return jax.random.normal(key, (self.measurements, size), jnp.float32)

        def loss(params: Params, batch: Batch) -> jax.Array:
            if self.observed == "entries":
                return jnp.sum(batch * residual(params) ** 2) / self.measurements
            return jnp.mean((batch @ residual(params).reshape(-1)) ** 2) / size

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return jnp.mean(residual(params) ** 2)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        rows, columns = (log_uniform_int(generator, 8, 40) for _ in range(2))
        rank = log_uniform_int(generator, 1, 6)
        observed = choice(generator, get_args(Observed))
        share = uniform(generator, 0.05, 0.5)
        return cls(
            rows=rows,
            columns=columns,
            rank=rank,
            width=min(rank * choice(generator, (1, 1, 2)), rows, columns),
            condition_number=log_uniform(generator, 1.0, 100.0),
            observed=observed,
            measurements=max(8, int(share * (rows * columns if observed == "entries" else 128))),
            init_scale=log_uniform(generator, 0.1, 1.0),
            seed=log_uniform_int(generator, 1, 1000),
        )


def low_rank_matrix(config: Factorization) -> Array:
    """M (rows, columns) of a configuration, in float64, scaled so that its mean square is 1."""
    generator = np.random.Generator(np.random.PCG64(config.seed))
    singular = random_spectrum(generator, config.rank, config.condition_number)
    left = random_rotation(generator, config.rows)[:, : config.rank]
    right = random_rotation(generator, config.columns)[:, : config.rank]
    matrix = left * singular[None, :] @ right.T
    return matrix / np.sqrt(np.mean(matrix**2))


# ---------------------------------------------------------------- deep linear networks


@dataclass(frozen=True)
class DeepLinear:
    """A linear network y = W_L ... W_1 x that is taught a linear map T of low rank.

    Inputs are Gaussian with covariance diag(s), s log-uniform in [1 / condition_number, 1]. The
    loss is the squared error of a batch, and `evaluate`, on both splits, its expectation

        |(W_L ... W_1 - T) diag(s)^(1/2)|_F^2,

    both in units of that of the zero map, so that the trivial loss, which is the origin's, is 1 and
    a perfect fit has 0.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", ICLR 2014 (arXiv 1312.6120).

    Attributes:
      widths: inputs, hidden layers, outputs: at least three; parameters are {"layer_0": (widths[0],
        widths[1]), ...}.
      rank: of T, at most the smallest width.
      condition_number: of the inputs' covariance.
      gain: layers start as N(0, gain^2 / inputs of the layer).
      batch_size: examples a batch; a batch is float32 (batch_size, widths[0]), the inputs.
      seed: fixes T and s.

    Raises:
      ValueError: for too few widths, or numbers that do not fit.
    """

    widths: tuple[int, ...] = (16, 16, 16, 8)
    rank: int = 4
    condition_number: float = 10.0
    gain: float = 0.7
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.widths) < 3:
            raise ValueError(f"DeepLinear: widths {self.widths} has no hidden layer; add one")
        if not 1 <= self.rank <= min(self.widths):
            raise ValueError(
                f"DeepLinear: rank {self.rank} must be at least 1 and at most the smallest of "
                f"widths {self.widths}"
            )
        if self.condition_number < 1 or self.gain <= 0 or self.batch_size < 1:
            raise ValueError(
                f"DeepLinear: condition_number {self.condition_number} and batch_size "
                f"{self.batch_size} must be at least 1, and gain {self.gain} positive"
            )

    @property
    def name(self) -> str:
        base = f"deep_linear_{'x'.join(map(str, self.widths))}_b{self.batch_size}"
        return base + variant(self, "rank", "condition_number", "gain", "seed")

    def build(self) -> Task:
        spectrum, target = (array.astype(np.float32) for array in linear_teacher(self))

        def init(key: jax.Array) -> Params:
            keys = jax.random.split(key, len(self.widths) - 1)
            shapes = zip(self.widths[:-1], self.widths[1:], strict=True)
            return {
                f"layer_{i}": self.gain
                * shape[0] ** -0.5
                * jax.random.normal(keys[i], shape, jnp.float32)
                for i, shape in enumerate(shapes)
            }

        def batch(key: jax.Array) -> Batch:
            inputs = jax.random.normal(key, (self.batch_size, self.widths[0]), jnp.float32)
            return inputs * jnp.sqrt(jnp.asarray(spectrum))[None]

        def errors(params: Params, inputs: jax.Array) -> jax.Array:
            """The network's outputs less the teacher's: (n, inputs) -> (n, outputs)."""
            outputs, exact = inputs, jax.lax.Precision.HIGHEST
            for i in range(len(self.widths) - 1):
                outputs = jnp.matmul(outputs, params[f"layer_{i}"], precision=exact)
            return outputs - jnp.matmul(inputs, jnp.asarray(target), precision=exact)

        def loss(params: Params, batch: Batch) -> jax.Array:
            return jnp.mean(jnp.sum(errors(params, batch) ** 2, axis=-1))

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return jnp.sum(errors(params, jnp.diag(jnp.sqrt(jnp.asarray(spectrum)))) ** 2)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        depth = choice(generator, (2, 3, 4, 6))
        inputs, hidden, outputs = (log_uniform_int(generator, 4, 32) for _ in range(3))
        return cls(
            widths=(inputs, *(hidden,) * (depth - 1), outputs),
            rank=log_uniform_int(generator, 1, min(inputs, hidden, outputs)),
            condition_number=log_uniform(generator, 1.0, 1000.0),
            gain=log_uniform(generator, 0.3, 1.2),
            batch_size=log_uniform_int(generator, 8, 128),
            seed=log_uniform_int(generator, 1, 1000),
        )


def linear_teacher(config: DeepLinear) -> tuple[Array, Array]:
    """In float64: the inputs' variances s (inputs,), and T (inputs, outputs) in units of |T x|."""
    generator = np.random.Generator(np.random.PCG64(config.seed))
    inputs, outputs = config.widths[0], config.widths[-1]
    spectrum = random_spectrum(generator, inputs, config.condition_number)
    left = generator.standard_normal((inputs, config.rank))
    target = left @ generator.standard_normal((config.rank, outputs))
    return spectrum, target / np.sqrt(np.sum(spectrum[:, None] * target**2))
