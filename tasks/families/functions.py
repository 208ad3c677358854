"""Classical test functions of optimization: valleys, saddles and fields of local minima.

A function of few variables is summed over consecutive blocks of coordinates:

    rosenbrock       sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2
    beale            (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2
    himmelblau       (x^2 + y - 11)^2 + (x + y^2 - 7)^2, four minima
    powell           (x1 + 10 x2)^2 + 5 (x3 - x4)^2 + (x2 - 2 x3)^4 + 10 (x1 - x4)^4,
                     whose Hessian is singular at the minimum
    rastrigin        sum_i x_i^2 + 10 - 10 cos(2 pi x_i)
    ackley           20 - 20 exp(-0.2 |x| / sqrt(d)) + e - exp(mean_i cos(2 pi x_i))
    levy             sin^2(pi w_1) + sum_{i<d} (w_i - 1)^2 (1 + 10 sin^2(pi w_i + 1))
                     + (w_d - 1)^2 (1 + sin^2(2 pi w_d)), w = 1 + (x - 1) / 4
    styblinski_tang  sum_i (x_i^4 - 16 x_i^2 + 5 x_i) / 2, its minimum subtracted

Reference: More, Garbow, Hillstrom, "Testing unconstrained optimization software", ACM TOMS 1981,
for `rosenbrock`, `beale`, `powell` and where they start; Surjanovic, Bingham, "Virtual library of
simulation experiments: test functions and datasets", 2013, for the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.data import Array
from tasks.families.quadratic import random_rotation
from tasks.layers import check_choice
from tasks.naming import variant
from tasks.sampling import chance, choice, log_uniform, log_uniform_int

_INIT_SCALE = 0.1
_STYBLINSKI_TANG_MINIMIZER = -2.9035340277711770


class Function(NamedTuple):
    """A function of any number of variables that `len(start)` divides; its minimum is 0.

    Attributes:
      value: x (d,) -> scalar. Written so that rounding cannot make it negative.
      minimizer: the coordinates of one global minimum, repeated along x.
      start: the customary starting point, repeated along x.
    """

    value: Callable[[jax.Array], jax.Array]
    minimizer: tuple[float, ...]
    start: tuple[float, ...]


def _rosenbrock(x: jax.Array) -> jax.Array:
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def _beale(x: jax.Array) -> jax.Array:
    x, y = x[0::2], x[1::2]
    targets = ((1.5, 1), (2.25, 2), (2.625, 3))
    return jnp.sum(sum((target - x + x * y**power) ** 2 for target, power in targets))


def _himmelblau(x: jax.Array) -> jax.Array:
    x, y = x[0::2], x[1::2]
    return jnp.sum((x**2 + y - 11.0) ** 2 + (x + y**2 - 7.0) ** 2)


def _powell(x: jax.Array) -> jax.Array:
    x1, x2, x3, x4 = (x[i::4] for i in range(4))
    linear = (x1 + 10.0 * x2) ** 2 + 5.0 * (x3 - x4) ** 2
    return jnp.sum(linear + (x2 - 2.0 * x3) ** 4 + 10.0 * (x1 - x4) ** 4)


def _rastrigin(x: jax.Array) -> jax.Array:
    return jnp.sum(x**2 + 20.0 * jnp.sin(jnp.pi * x) ** 2)


def _ackley(x: jax.Array) -> jax.Array:
    # The offset keeps the gradient finite at the minimum, where the cone has its tip.
    radius = jnp.sqrt(jnp.mean(x**2) + 1e-12)
    ripples = -2.0 * jnp.mean(jnp.sin(jnp.pi * x) ** 2)
    return -20.0 * jnp.expm1(-0.2 * radius) - jnp.e * jnp.expm1(ripples)


def _levy(x: jax.Array) -> jax.Array:
    w = 1.0 + (x - 1.0) / 4.0
    inner = (w - 1.0) ** 2 * (1.0 + 10.0 * jnp.sin(jnp.pi * w + 1.0) ** 2)
    last = (w[-1] - 1.0) ** 2 * (1.0 + jnp.sin(2.0 * jnp.pi * w[-1]) ** 2)
    return jnp.sin(jnp.pi * w[0]) ** 2 + jnp.sum(inner[:-1]) + last


def _styblinski_tang(x: jax.Array) -> jax.Array:
    # The polynomial less its minimum, divided by its double root a; the other factor is positive.
    a = _STYBLINSKI_TANG_MINIMIZER
    return 0.5 * jnp.sum((x - a) ** 2 * (x**2 + 2.0 * a * x + 3.0 * a**2 - 16.0))


FUNCTIONS: Mapping[str, Function] = {
    "rosenbrock": Function(_rosenbrock, (1.0, 1.0), (-1.2, 1.0)),
    "beale": Function(_beale, (3.0, 0.5), (1.0, 1.0)),
    "himmelblau": Function(_himmelblau, (3.0, 2.0), (0.0, 0.0)),
    "powell": Function(_powell, (0.0,) * 4, (3.0, -1.0, 0.0, 1.0)),
    "rastrigin": Function(_rastrigin, (0.0, 0.0), (-2.0, 3.5)),
    "ackley": Function(_ackley, (0.0, 0.0), (-2.5, 2.5)),
    "levy": Function(_levy, (1.0, 1.0), (-4.0, 4.0)),
    "styblinski_tang": Function(_styblinski_tang, (_STYBLINSKI_TANG_MINIMIZER,) * 2, (0.0, 1.0)),
}
"""The functions a configuration may name."""


@dataclass(frozen=True)
class Landscape:
    """A classical test function F of x = start + Q u, in units of its starting value.

    The objective is f(u) = F(start + Q u) / F(start): parameters u start near the origin,
    N(0, 0.1^2) each, and the minimum is elsewhere, so that shrinking parameters is of no help. The
    trivial loss is the origin's, F at its customary starting point, and is 1. There is no data:
    `evaluate` is f itself on both splits.

    The loss of a batch e ~ N(0, I) is f(u) with noise * e added to its gradient.

    Attributes:
      function: a name in `FUNCTIONS`.
      dimension: number of variables, a multiple of the function's block (2; `powell` 4); the
        parameters are the dict {"tensor_0": (d // 2,), "tensor_1": (d - d // 2,)}, u end to end.
      rotation: seed of the random rotation Q; 0 for none, Q = I.
      noise: standard deviation of each coordinate's gradient noise; a batch is float32 (d,).

    Raises:
      ValueError: for an unknown function, a dimension it does not have, or a negative number.
    """

    function: str = "rosenbrock"
    dimension: int = 4
    rotation: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_choice("function", self.function, FUNCTIONS)
        block = len(FUNCTIONS[self.function].start)
        if self.dimension < 2 or self.dimension % block:
            raise ValueError(
                f"Landscape: dimension {self.dimension} is not a positive multiple of {block}, "
                f"which {self.function} needs"
            )
        if self.rotation < 0 or self.noise < 0:
            raise ValueError(
                f"Landscape: rotation {self.rotation} and noise {self.noise} must be at least 0"
            )

    @property
    def name(self) -> str:
        return f"{self.function}_d{self.dimension}" + variant(self, "rotation", "noise")

    def build(self) -> Task:
        function = FUNCTIONS[self.function].value
        start, rotation, _ = (array.astype(np.float32) for array in geometry(self))
        half = self.dimension // 2
        with jax.ensure_compile_time_eval():
            unit = float(function(jnp.asarray(start)))

        def flat(params: Params) -> jax.Array:
            return jnp.concatenate([params["tensor_0"], params["tensor_1"]])

        def objective(params: Params) -> jax.Array:
            # As in `quadratic`: a GPU's default product is too coarse for an ill-conditioned one.
            exact = jax.lax.Precision.HIGHEST
            rotated = jnp.matmul(jnp.asarray(rotation), flat(params), precision=exact)
            return function(jnp.asarray(start) + rotated) / unit

        def init(key: jax.Array) -> Params:
            u = _INIT_SCALE * jax.random.normal(key, (self.dimension,), jnp.float32)
            return {"tensor_0": u[:half], "tensor_1": u[half:]}

        def batch(key: jax.Array) -> Batch:
            return jax.random.normal(key, (self.dimension,), jnp.float32)

        def loss(params: Params, batch: Batch) -> jax.Array:
            u = flat(params)
            # The second term is 0, its gradient is not.
            return objective(params) + self.noise * jnp.sum(batch * (u - jax.lax.stop_gradient(u)))

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return objective(params)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            function=choice(generator, tuple(FUNCTIONS)),
            dimension=4 * log_uniform_int(generator, 1, 16),
            rotation=log_uniform_int(generator, 1, 1000) if chance(generator, 0.5) else 0,
            noise=log_uniform(generator, 0.001, 0.1) if chance(generator, 0.5) else 0.0,
        )


def geometry(config: Landscape) -> tuple[Array, Array, Array]:
    """Where a landscape starts, how it is turned, and where it is lowest.

    Returns:
      In float64: the starting point x (d,); the rotation Q (d, d); the parameters u (d,) of one
      global minimum.
    """
    function = FUNCTIONS[config.function]
    start, minimizer = (
        np.tile(point, config.dimension // len(point))
        for point in (function.start, function.minimizer)
    )
    rotation = np.eye(config.dimension)
    if config.rotation:
        generator = np.random.Generator(np.random.PCG64(config.rotation))
        rotation = random_rotation(generator, config.dimension)
    return start, rotation, rotation.T @ (minimizer - start)
