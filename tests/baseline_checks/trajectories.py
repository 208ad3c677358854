"""Trajectories that a baseline must follow: of independent implementations, or of a numpy reading.

A group's checks are in the module of its name beside this one:

- REFERENCES: name of a file in `tests/baselines/reference` -> `Case`;
- READINGS: id of a baseline -> `Reading`, for those that no file covers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Where compiling takes longer than running: a third off."""

FOLDER = Path(__file__).parents[1] / "baselines" / "reference"
STEPS = 25

Arrays = Mapping[str, np.ndarray]


class Reference(NamedTuple):
    """What one file of `tests/baselines/reference` says.

    Attributes:
      start: parameters w (4, 3), b (5,), c (2, 3, 2) before the first step.
      gradients: of each step, (25, ...).
      centre: of the quadratic, for the mode `quad`.
      curvature: diagonal of its Hessian.
      after: the parameters after each step, (25, ...).
      draws: the random numbers that the implementation drew, in order.
      rates: (25,), of a schedule.
      meta: the implementation: library, version, class, hyperparameters, mode, notes.
    """

    start: Arrays
    gradients: Arrays
    centre: Arrays
    curvature: Arrays
    after: Arrays
    draws: tuple[np.ndarray, ...]
    rates: np.ndarray | None
    meta: Mapping[str, Any]


@cache
def read(name: str) -> Reference:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = dict(file.items())

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

    return Reference(
        part("p0_"),
        part("G_"),
        part("c_"),
        part("h_"),
        part("p_"),
        tuple(arrays[k] for k in sorted(arrays) if k.startswith("tape_")),
        arrays.get("lr"),
        json.loads(arrays["meta"].item()),
    )


@dataclass(frozen=True)
class Case:
    """How a baseline is made to follow a file.

    Attributes:
      build: makes the optimizer, or the schedule, with the file's hyperparameters.
      parts: the parameters that the file trains.
      rtol: of the parameters; with a reason wherever it is above 1e-9.
      atol: likewise.
      departs: why it follows the file only up to a step: which of two readings the publication
        supports, and how. Such a case must agree before that step, and not at it.
      at: the first step, counted from 1, at which it departs.
      inconclusive: why following the file is no evidence by itself.
    """

    build: Callable[[], Any]
    parts: Sequence[str] = ("w", "b", "c")
    rtol: float = 1e-9
    atol: float = 1e-12
    departs: str = ""
    at: int = 0
    inconclusive: str = ""


@dataclass(frozen=True)
class Reading:
    """A publication read in numpy, independently of the baseline's code.

    Attributes:
      build: makes the optimizer, or the schedule.
      trajectory: (start, gradients of each step) -> the parameters after each step, in float64;
        or, of a schedule, the number of steps -> its values.
      rtol: of the parameters.
      atol: likewise.
      start: parameters to start from; default: those of the references.
      gradients: the gradients, (25, ...); default: those of the references.
      extra: extra arguments of `update` for each step, (25, ...), such as the loss `value`.
    """

    build: Callable[[], Any]
    trajectory: Callable[..., Any]
    rtol: float = 1e-9
    atol: float = 1e-12
    start: Arrays | None = None
    gradients: Arrays | None = None
    extra: Arrays = field(default_factory=dict)


def follow(
    optimizer: optax.GradientTransformation,
    start: Any,
    gradients: Any,
    extra: Any = None,
    *,
    gradient_at: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """The parameters after each step, in float64.

    Args:
      optimizer: the transformation.
      start: parameters.
      gradients: of each step, stacked.
      extra: extra arguments of `update` for each step, stacked.
      gradient_at: (parameters, this step's `gradients`) -> the gradient, if it depends on where
        the parameters are.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    with jax.enable_x64(True):
        start, gradients, extra = jax.tree.map(
            lambda a: jnp.asarray(a), (start, gradients, extra or {})
        )

        def step(carry: Any, inputs: Any) -> Any:
            params, state = carry
            gradient, extra = inputs
            if gradient_at is not None:
                gradient = gradient_at(params, gradient)
            updates, state = optimizer.update(gradient, state, params, **extra)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        def run(start: Any, gradients: Any, extra: Any) -> Any:
            return jax.lax.scan(step, (start, optimizer.init(start)), (gradients, extra))[1]

        return jax.tree.map(np.asarray, quick_jit(run)(start, gradients, extra))


def quadratic(reference: Reference) -> Callable[[Any, Any], Any]:
    """The gradient of the mode `quad`, h (p - c - 0.3 G_t)."""
    c, h = reference.centre, reference.curvature

    def gradient_at(params: Any, noise: Any) -> Any:
        return {k: h[k] * (params[k] - c[k] - 0.3 * noise[k]) for k in params}

    return gradient_at


def steps_of(tree: Arrays) -> list[dict[str, np.ndarray]]:
    """A tree of stacked arrays as a list, a tree for each step."""
    return [{k: v[t] for k, v in tree.items()} for t in range(len(next(iter(tree.values()))))]


def leafwise(function: Callable[..., Sequence[np.ndarray]]) -> Callable[..., Any]:
    """A trajectory over a tree from one over a single array: (start, gradients) -> parameters."""

    def trajectory(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        parts = {k: function(start[k], [g[k] for g in gradients]) for k in start}
        return [{k: parts[k][t] for k in parts} for t in range(len(gradients))]

    return trajectory
