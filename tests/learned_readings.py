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


# ---------------------------------------------------------------- networks that see losses


def trained_on_losses(
    bind: Callable[..., optax.GradientTransformationExtraArgs],
    theta: Any,
    params: Any,
    gradients: Any,
    losses: Any,
    num_steps: Any,
) -> tuple[Any, Any]:
    """As `trained`, of a network that sees losses and the length of the training, not compiled."""
    optimizer = bind(theta, num_steps=num_steps)

    def step(carry: Any, seen: Any) -> tuple[Any, Any]:
        (params, state), (gradient, loss) = carry, seen
        updates, state = optimizer.update(
            gradient, state, params, value=loss, unheard_of=jnp.float32(0)
        )
        return (optax.apply_updates(params, updates), state), updates

    start = params, optimizer.init(params)
    (_, state), updates = jax.lax.scan(step, start, (gradients, losses))
    return updates, state


def averaged(memory: dict[str, Any], g: np.ndarray) -> None:
    """Take a gradient into the averages of section 0, with the decays that are fixed."""
    if not memory:
        memory.update(m=[0.0 * g] * 3, v=0.0 * g, row=[0.0] * 3, col=[0.0] * 3)
    q, decays = g**2 + 1e-30, (0.9, 0.99, 0.999)
    memory["m"] = [d * m + (1 - d) * g for d, m in zip(decays, memory["m"], strict=True)]
    memory["v"] = 0.999 * memory["v"] + 0.001 * g**2
    row = col = q
    if g.ndim >= 2:
        second, first = np.argsort(g.shape, kind="stable")[-2:]
        row, col = q.mean(axis=first, keepdims=True), q.mean(axis=second, keepdims=True)
    for name, new in (("row", row), ("col", col)):
        memory[name] = [d * x + (1 - d) * new for d, x in zip(decays, memory[name], strict=True)]


def velo_features(memory: dict[str, Any], p: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """The 30 features of section 2, before they are normalized, of averages with g in them."""

    def rsqrt(x: Any) -> Any:
        return 1 / np.sqrt(x)

    m, v, row, col = (memory[name] for name in ("m", "v", "row", "col"))
    normal = rsqrt(v + 1e-6)
    if g.ndim < 2:
        direct = [g * rsqrt(np.maximum(x + 1e-9, 1e-9)) for x in row]
        slow = [a * rsqrt(x + 1e-6) for a, x in zip(m, row, strict=True)]
    else:
        second, _ = np.argsort(g.shape, kind="stable")[-2:]
        scales = [
            rsqrt(np.maximum(r / (r.mean(axis=second, keepdims=True) + 1e-9), 1e-9))
            * rsqrt(np.maximum(c, 1e-9))
            for r, c in zip(row, col, strict=True)
        ]
        direct = [g * s for s in scales]
        slow = [a * s for a, s in zip(m, scales, strict=True)]
    return [
        *(g, np.clip(g, -0.1, 0.1), p, *m, v),
        *(a * normal for a in m),
        *(normal, *direct, g * normal),
        *(*row, *col),
        *(rsqrt(x + 1e-8) for x in (*row, *col)),
        *slow,
    ]


def loss_features(losses: Sequence[float], num_steps: float) -> np.ndarray:
    """The 9 features of the losses after each of them (losses, 9)."""
    decay = np.exp(-1 / np.logspace(1, np.log10(max(10, num_steps)), 10))
    total, lowest, found = np.zeros(10), np.full(10, np.inf), []
    for k, value in enumerate(losses):
        loss = value
        if k > 0:
            largest = np.abs(total / (1 - decay**k)).max()
            loss = min(2 * largest, value) if np.isfinite(value) else 2 * largest
        total = decay * total + (1 - decay) * loss
        c = total / (1 - decay ** (k + 1))
        lowest = np.minimum(lowest, c)
        r = lowest[:-1]
        ratio = (c[:-1] - r) / np.maximum(1e-8, c[1:] - r)
        found.append(np.clip(ratio - 1, -1, 1) if k >= 2 else np.zeros(9))
    return np.stack(found)


def of_training(t: int, num_steps: float) -> np.ndarray:
    """The 9 features of the fraction of a training."""
    centres = np.array([0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1, 1.1])
    return np.tanh(10 * (t / num_steps - centres))


def of_rank(shape: Sequence[int]) -> np.ndarray:
    """The 5 features of the number of axes that are longer than 1."""
    return np.eye(5)[sum(size > 1 for size in shape)]


def linear(layer: Any, x: np.ndarray) -> np.ndarray:
    """A layer by itself."""
    return x @ np.asarray(layer["w"], np.float64) + np.asarray(layer["b"], np.float64)
