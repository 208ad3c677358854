"""Physics-informed neural networks: a network is trained to satisfy a differential equation.

On the domain x in [-1, 1], t in [0, 1], a network u(x, t) is to make the residual of an equation
vanish inside, and to take prescribed values on the boundary. With the coefficient k:

    poisson    (u_xx + u_tt) / (2 pi^2 k^2) = -sin(pi k x) sin(pi k t),
                                           u = sin(pi k x) sin(pi k t)
    advection  u_t + k u_x = 0,            u = sin(pi (x - k t))
    heat       u_t = k u_xx,               u = exp(-k pi^2 t) sin(pi x)
    reaction   u_t = k u (1 - u),          u = h e^(k t) / (h e^(k t) + 1 - h), h = exp(-8 x^2)
    burgers    u_t + u u_x = k u_xx,       u(x, 0) = -sin(pi x), u(+-1, t) = 0

The last has a solution by the Cole-Hopf transform, an integral over Gaussian weights.

Reference: Raissi, Perdikaris, Karniadakis, "Physics-informed neural networks", 2019 (arXiv
1711.10561); Basdevant et al., "Spectral and finite difference solutions of the Burgers equation",
1986; Krishnapriyan et al., "Characterizing possible failure modes in physics-informed neural
networks", NeurIPS 2021 (arXiv 2109.01050), for advection and reaction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, dataset_task
from tasks.data import Array
from tasks.families.mlp import Perceptron
from tasks.layers import ACTIVATIONS, INITIALIZERS, check_choice
from tasks.naming import variant
from tasks.sampling import choice, log_uniform, log_uniform_int

Field = Callable[[jax.Array], jax.Array]
"""A function of points (n, 2), rows (x, t), with values (n,)."""

Number = jax.Array | float

_HELD_OUT = 512
_QUADRATURE = 64
SMOOTH = tuple(name for name in ACTIVATIONS if name not in ("relu", "leaky_relu", "elu", "selu"))
"""The activations that can be differentiated twice and more."""


def derivative(field: Field, axis: int) -> Field:
    """The partial derivative of a field, by x (axis 0) or t (axis 1)."""

    def differentiated(points: jax.Array) -> jax.Array:
        direction = jnp.broadcast_to(jnp.eye(2, dtype=points.dtype)[axis][None], points.shape)
        return jax.jvp(field, (points,), (direction,))[1]

    return differentiated


class Equation(NamedTuple):
    """A differential equation with coefficient k.

    Attributes:
      residual: (u, points, k) -> (n,), zero for a solution.
      solution: (points, k) -> (n,).
      coefficients: low and high end of what is sampled for k, log-uniform.
      elliptic: whether values are prescribed at t = 1 as well.
    """

    residual: Callable[[Field, jax.Array, Number], jax.Array]
    solution: Callable[[jax.Array, Number], jax.Array]
    coefficients: tuple[float, float]
    elliptic: bool = False


def _second(u: Field, axis: int) -> Field:
    return derivative(derivative(u, axis), axis)


def _poisson_residual(u: Field, points: jax.Array, k: Number) -> jax.Array:
    laplacian = _second(u, 0)(points) + _second(u, 1)(points)
    return laplacian / (2.0 * jnp.pi**2 * k**2) + _poisson(points, k)


def _poisson(points: jax.Array, k: Number) -> jax.Array:
    return jnp.prod(jnp.sin(jnp.pi * k * points), axis=-1)


def _advection_residual(u: Field, points: jax.Array, k: Number) -> jax.Array:
    return derivative(u, 1)(points) + k * derivative(u, 0)(points)


def _advection(points: jax.Array, k: Number) -> jax.Array:
    return jnp.sin(jnp.pi * (points[:, 0] - k * points[:, 1]))


def _heat_residual(u: Field, points: jax.Array, k: Number) -> jax.Array:
    return derivative(u, 1)(points) - k * _second(u, 0)(points)


def _heat(points: jax.Array, k: Number) -> jax.Array:
    return jnp.exp(-k * jnp.pi**2 * points[:, 1]) * jnp.sin(jnp.pi * points[:, 0])


def _reaction_residual(u: Field, points: jax.Array, k: Number) -> jax.Array:
    value = u(points)
    return derivative(u, 1)(points) - k * value * (1.0 - value)


def _reaction(points: jax.Array, k: Number) -> jax.Array:
    grown = jnp.exp(k * points[:, 1] - 8.0 * points[:, 0] ** 2)
    return grown / (grown - jnp.expm1(-8.0 * points[:, 0] ** 2))


def _burgers_residual(u: Field, points: jax.Array, k: Number) -> jax.Array:
    advected = u(points) * derivative(u, 0)(points)
    return derivative(u, 1)(points) + advected - k * _second(u, 0)(points)


def _burgers(points: jax.Array, k: Number) -> jax.Array:
    """-E[sin(pi y) f(y)] / E[f(y)], y ~ N(x, 2 k t), f(y) = exp(-cos(pi y) / (2 pi k))."""
    nodes, weights = np.polynomial.hermite.hermgauss(_QUADRATURE)
    spread = 2.0 * jnp.sqrt(k * points[:, 1:])
    y = points[:, :1] - spread * jnp.asarray(nodes, jnp.float32)[None]
    log_weights = jnp.asarray(np.log(weights), jnp.float32)[None]
    share = jax.nn.softmax(log_weights - jnp.cos(jnp.pi * y) / (2.0 * jnp.pi * k), axis=-1)
    return -jnp.sum(share * jnp.sin(jnp.pi * y), axis=-1)


EQUATIONS: Mapping[str, Equation] = {
    "poisson": Equation(_poisson_residual, _poisson, (0.5, 2.0), elliptic=True),
    "advection": Equation(_advection_residual, _advection, (0.3, 5.0)),
    "heat": Equation(_heat_residual, _heat, (0.03, 1.0)),
    "reaction": Equation(_reaction_residual, _reaction, (0.5, 5.0)),
    "burgers": Equation(_burgers_residual, _burgers, (0.03, 0.3)),
}
"""The equations a configuration may name."""


class Collocation(NamedTuple):
    """Points (n, 2) inside, and points (m, 2) on the boundary with their prescribed values (m,)."""

    interior: jax.Array
    boundary: jax.Array
    values: jax.Array


@dataclass(frozen=True)
class PINN:
    """A perceptron (x, t) -> u, trained on an equation's residual and on boundary values.

    The loss is

        mean residual(points inside)^2 + boundary_weight * mean (u - value)^2 on the boundary.

    `evaluate` is the squared error of u relative to the solution's mean square, at 512 points drawn
    once for each split. The trivial loss is that of u = 0, which is 1.

    Attributes:
      equation: a name in `EQUATIONS`.
      coefficient: k of the equation.
      widths: units of each hidden layer.
      activation: a name in `SMOOTH`.
      batch_size: points inside, and half as many on the boundary, drawn uniformly; a batch is
        `Collocation` of float32.
      boundary_weight: weight of the boundary.
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels; biases start at 0.

    Raises:
      ValueError: for a name that there is none of, or a number out of range.
    """

    equation: str = "heat"
    coefficient: float = 0.1
    widths: tuple[int, ...] = (16, 16)
    activation: str = "tanh"
    batch_size: int = 64
    boundary_weight: float = 10.0
    init: str = "glorot_uniform"

    def __post_init__(self) -> None:
        check_choice("equation", self.equation, EQUATIONS)
        check_choice("smooth activation", self.activation, dict.fromkeys(SMOOTH))
        check_choice("initializer", self.init, INITIALIZERS)
        if self.coefficient <= 0 or self.boundary_weight <= 0 or self.batch_size < 2:
            raise ValueError(
                f"PINN: coefficient {self.coefficient} and boundary_weight {self.boundary_weight} "
                f"must be positive, and batch_size {self.batch_size} at least 2"
            )

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths))
        base = f"{self.equation}{self.coefficient:g}_pinn_{widths}_{self.activation}"
        return f"{base}_b{self.batch_size}" + variant(self, "boundary_weight", "init")

    def build(self) -> Task:
        network = Perceptron(self.widths, 1, self.activation, self.init)
        equation = EQUATIONS[self.equation]

        def field(params: Params) -> Field:
            return lambda points: network.apply({"params": params}, points)[:, 0]  # pyright: ignore

        def init(key: jax.Array) -> Params:
            return network.init(key, jnp.zeros((1, 2), jnp.float32))["params"]

        def batch(key: jax.Array) -> Batch:
            inside, outside = jax.random.split(key)
            interior = _in_domain(jax.random.uniform(inside, (self.batch_size, 2), jnp.float32))
            along = jax.random.uniform(outside, (self.batch_size // 2,), jnp.float32)
            boundary = _on_boundary(along, equation.elliptic)
            return Collocation(interior, boundary, equation.solution(boundary, self.coefficient))

        def loss(params: Params, batch: Batch) -> jax.Array:
            u = field(params)
            residual = equation.residual(u, batch.interior, self.coefficient)
            boundary = jnp.mean((u(batch.boundary) - batch.values) ** 2)
            return jnp.mean(residual**2) + self.boundary_weight * boundary

        def relative_error(params: Params, points: jax.Array) -> jax.Array:
            solution = equation.solution(points, self.coefficient)
            return jnp.mean((field(params)(points) - solution) ** 2) / jnp.mean(solution**2)

        held_out: dict[Split, Array] = {"validation": _points(1), "test": _points(2)}
        task = dataset_task(self.name, init, batch, relative_error, held_out, 1.0)
        return replace(task, loss=loss)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        equation = choice(generator, tuple(EQUATIONS))
        return cls(
            equation=equation,
            coefficient=log_uniform(generator, *EQUATIONS[equation].coefficients),
            widths=(log_uniform_int(generator, 8, 32),) * choice(generator, (1, 2, 2, 3)),
            activation=choice(generator, SMOOTH),
            batch_size=log_uniform_int(generator, 16, 128),
            boundary_weight=log_uniform(generator, 1.0, 100.0),
            init=choice(generator, ("lecun_normal", "he_normal", "glorot_uniform", "orthogonal")),
        )


def _in_domain(unit: jax.Array) -> jax.Array:
    """From the unit square (n, 2) to x in [-1, 1], t in [0, 1]."""
    return unit * jnp.array([[2.0, 1.0]], unit.dtype) - jnp.array([[1.0, 0.0]], unit.dtype)


def _on_boundary(along: jax.Array, elliptic: bool) -> jax.Array:
    """Points (n, 2), `along` (n,) of the sides t = 0, x = -1, x = 1 (and t = 1) in turn."""
    zero, one = jnp.zeros_like(along), jnp.ones_like(along)
    sides = [(along, zero), (zero, along), (one, along), (along, one)][: 4 if elliptic else 3]
    points = jnp.stack([jnp.stack(side, axis=-1) for side in sides])
    turn = jax.nn.one_hot(
        jnp.arange(len(along)) % len(sides), len(sides), axis=0, dtype=along.dtype
    )
    return _in_domain(jnp.sum(turn[:, :, None] * points, axis=0))


def _points(seed: int) -> Array:
    """Points (512, 2) at which a network is compared with the solution."""
    unit = np.random.Generator(np.random.PCG64(seed)).random((_HELD_OUT, 2))
    return (unit * [2.0, 1.0] - [1.0, 0.0]).astype(np.float32)
