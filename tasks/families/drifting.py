"""Quadratics whose minimum moves while they are minimized.

A task's batches know nothing of the step, so a minimum cannot drift with time itself. It drifts for
the reason that targets drift in real training: it depends on other parameters, which are trained
as well, as in temporal-difference learning or under a network's lower layers. Two vectors of
parameters, a target y and a tracker x, are given the gradients

    d/dx:  A (x - y - jitter * e),    e ~ N(0, I) in each batch,
    d/dy:  pace * A (y - c),

A = Q diag(s) Q^T as in `quadratic`. The tracker is never told how its loss changes with y (a
semi-gradient), so what it sees is a quadratic whose minimum y wanders off towards c, in about
1 / pace steps of gradient descent; the smaller `pace`, the more the two want different step sizes.

Reference: Sutton, Barto, "Reinforcement learning: an introduction", 2018, section 9.3, for
semi-gradients; Schaul, Zhang, LeCun, "No more pesky learning rates", ICML 2013 (arXiv 1206.1106),
for quadratics that drift.
"""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.families.games import value_with_gradient_of
from tasks.families.quadratic import Quadratic
from tasks.families.quadratic import sample as sample_quadratic
from tasks.naming import variant
from tasks.sampling import chance, log_uniform, log_uniform_int

_INIT_SCALE = 0.1


@dataclass(frozen=True)
class DriftingQuadratic:
    """A quadratic whose minimum is another vector of parameters, itself in training.

    The value, of `loss` and of `evaluate` on both splits, is how far both vectors are from where
    they come to rest, x = y = c:

        (f(x) + f(y)) / 2,    f(x) = 1/2 (x - c)^T A (x - c),

    with c scaled so that the origin's, the trivial loss, is 1. Parameters start near the origin,
    N(0, 0.1^2) each.

    Attributes:
      dimension: of either vector; parameters are {"target": (d,), "tracker": (d,)}.
      condition_number: largest eigenvalue of A over smallest; the largest is 1.
      pace: the target's gradient in units of the tracker's.
      jitter: standard deviation of the minimum that a batch draws around the target; a batch is
        float32 (dimension,).
      seed: fixes spectrum, rotation and c.

    Raises:
      ValueError: for fewer than two dimensions, a condition number below 1, a pace that is not
        positive or negative jitter.
    """

    dimension: int = 16
    condition_number: float = 10.0
    pace: float = 0.1
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dimension < 2 or self.condition_number < 1:
            raise ValueError(
                f"DriftingQuadratic: dimension {self.dimension} must be at least 2, and "
                f"condition_number {self.condition_number} at least 1"
            )
        if self.pace <= 0 or self.jitter < 0:
            raise ValueError(
                f"DriftingQuadratic: pace {self.pace} must be positive, and jitter {self.jitter} "
                "at least 0"
            )

    @property
    def name(self) -> str:
        base = f"drifting_d{self.dimension}_cond{self.condition_number:g}_pace{self.pace:g}"
        return base + variant(self, "jitter", "seed")

    def build(self) -> Task:
        shapes = ((self.dimension - 1,), (1,))
        quadratic = Quadratic(shapes, self.condition_number, seed=self.seed)
        spectrum, rotation, rest = (x.astype(np.float32) for x in sample_quadratic(quadratic))

        def energy(difference: jax.Array) -> jax.Array:
            """1/2 v^T A v, of v (d,)."""
            exact = jax.lax.Precision.HIGHEST
            rotated = jnp.matmul(difference, jnp.asarray(rotation), precision=exact)
            return 0.5 * jnp.sum(jnp.asarray(spectrum) * rotated**2)

        def init(key: jax.Array) -> Params:
            start = _INIT_SCALE * jax.random.normal(key, (2, self.dimension), jnp.float32)
            return {"target": start[0], "tracker": start[1]}

        def batch(key: jax.Array) -> Batch:
            return jax.random.normal(key, (self.dimension,), jnp.float32)

        def unrest(params: Params) -> jax.Array:
            target, tracker = params["target"], params["tracker"]
            return 0.5 * (energy(target - jnp.asarray(rest)) + energy(tracker - jnp.asarray(rest)))

        def loss(params: Params, batch: Batch) -> jax.Array:
            target, tracker = params["target"], params["tracker"]
            minimum = jax.lax.stop_gradient(target) + self.jitter * batch
            surrogate = energy(tracker - minimum) + self.pace * energy(target - jnp.asarray(rest))
            return value_with_gradient_of(unrest(params), surrogate)

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            return unrest(params)

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            dimension=log_uniform_int(generator, 2, 64),
            condition_number=log_uniform(generator, 1.0, 1000.0),
            pace=log_uniform(generator, 0.01, 1.0),
            jitter=log_uniform(generator, 0.01, 1.0) if chance(generator, 0.5) else 0.0,
            seed=log_uniform_int(generator, 1, 1000),
        )
