"""What tests of learned optimizers share: trees to run on, and parts of networks in numpy."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from baseline_checks.trajectories import quick_jit

from metaopt.learned import LearnedOptimizer

Arrays = Mapping[str, np.ndarray]

SHAPES = {"matrix": (4, 3), "scalar": (), "vector": (5,)}
"""In the order of a tree's leaves."""


def shapes_of_weights(learned: LearnedOptimizer) -> Any:
    """The weights as `ShapeDtypeStruct`: drawing them takes longer."""
    return jax.eval_shape(learned.init, jax.random.key(0))


def arrays(seed: int, shapes: Mapping[str, Sequence[int]], *leading: int) -> dict[str, np.ndarray]:
    """Normal numbers, one array for each name."""
    draw = np.random.default_rng(seed)
    return {
        name: np.asarray(draw.normal(size=(*leading, *shape)), np.float32)
        for name, shape in shapes.items()
    }


def random_weights(learned: LearnedOptimizer, seed: int, deviation: float = 0.5) -> Any:
    """Weights that are nowhere 0, as those of no untrained network are."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0, deviation, leaf.shape), leaf.dtype),
        shapes_of_weights(learned),
    )


def trained(
    bind: Callable[[Any], optax.GradientTransformationExtraArgs],
    theta: Any,
    params: Any,
    gradients: Any,
) -> tuple[Any, Any]:
    """All updates of a training, stacked, and the state that it ends with.

    Args:
      bind: weights -> what trains.
      theta: the weights, traced as in meta-training.
      params: where it starts.
      gradients: of all steps, stacked; they do not depend on the parameters.
    """

    return _run(bind)(theta, params, gradients)


@cache
def _run(bind: Callable[[Any], optax.GradientTransformationExtraArgs]) -> Callable[..., Any]:
    @quick_jit
    def run(theta: Any, params: Any, gradients: Any) -> tuple[Any, Any]:
        optimizer = bind(theta)

        def step(carry: Any, gradient: Any) -> tuple[Any, Any]:
            params, state = carry
            updates, state = optimizer.update(gradient, state, params, unheard_of=jnp.float32(0))
            return (optax.apply_updates(params, updates), state), updates

        (_, state), updates = jax.lax.scan(step, (params, optimizer.init(params)), gradients)
        return updates, state

    return run


def read(
    step: Callable[[dict[str, Any], str, np.ndarray, np.ndarray, int], np.ndarray],
    params: Arrays,
    gradients: Arrays,
) -> dict[str, np.ndarray]:
    """All updates of a training, stacked, by a reading of the method.

    Args:
      step: memory of a tensor (a dict, empty at first), its name, p, g and t (from 0) -> update.
      params: where the training starts.
      gradients: of all steps, stacked.
    """
    found = {}
    for name, start in params.items():
        p, memory, updates = np.asarray(start, np.float64), {}, []
        for t, g in enumerate(np.asarray(gradients[name], np.float64)):
            updates.append(step(memory, name, p, g, t))
            p = p + updates[-1]
        found[name] = np.stack(updates)
    return found


def same(found: Any, expected: Arrays, unit: float, tolerance: float = 1e-5) -> None:
    """Assert that updates agree, to a tolerance in units of a usual update."""
    assert found.keys() == expected.keys()
    for name, updates in expected.items():
        assert np.abs(updates).max() > 0.01 * unit, f"{name} hardly moves, so nothing is compared"
        np.testing.assert_allclose(
            found[name], updates, rtol=tolerance, atol=tolerance * unit, err_msg=name
        )


# ---------------------------------------------------------------- parts of networks


def perceptron(layers: Any, x: np.ndarray) -> np.ndarray:
    """A perceptron with ReLU units, features on the last axis."""
    for layer in layers[:-1]:
        x = np.maximum(x @ np.asarray(layer["w"], np.float64) + np.asarray(layer["b"]), 0)
    return x @ np.asarray(layers[-1]["w"], np.float64) + np.asarray(layers[-1]["b"])


def normalized(features: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """Features (..., features), each divided by its root mean square over the tensor."""
    full = np.stack([np.broadcast_to(x, shape) for x in features], axis=-1)
    return full / np.sqrt(1e-5 + np.square(full).mean(axis=tuple(range(len(shape)))))


def with_time(features: np.ndarray, t: int) -> np.ndarray:
    """With the 11 features of time appended."""
    scales = np.outer([1.0, 10.0, 100.0, 1e3, 1e4], [1.0, 3.0]).ravel()
    time = np.tanh(t / np.append(scales, 1e5) - 1)
    return np.concatenate([features, np.broadcast_to(time, (*features.shape[:-1], 11))], axis=-1)


def lstm(weights: Any, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[Any, Any]:
    """A step of an LSTM for one unit x (inputs,): new h and c (hidden,)."""
    w, b = (np.asarray(weights[name], np.float64) for name in "wb")
    inputs, n = len(x), len(h)
    i, g, f, o = (
        x @ w[:inputs, k * n : (k + 1) * n] + h @ w[inputs:, k * n : (k + 1) * n] + b[k * n :][:n]
        for k in range(4)
    )
    c = c / (1 + np.exp(-f - 1)) + np.tanh(g) / (1 + np.exp(-i))
    return np.tanh(c) / (1 + np.exp(-o)), c
