"""Checks of methods that work in a part of a matrix: a subspace, columns, wavelets."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from baseline_checks.trajectories import Arrays, Case, Reading, read

from metaopt import baselines
from metaopt.baselines.shared.matrices import torch_axes
from metaopt.baselines.shared.subspaces import singular_basis

# ---------------------------------------------------------------- references

_SIGNS = {0: (1, 1), 10: (-1, 1), 20: (1, -1)}
"""Step of a decomposition -> signs of the singular vectors that the references' LAPACK found, where
ours have a positive largest entry."""


def _as_the_references(gradient: jax.Array, rank: int) -> jax.Array:
    """Singular vectors with the references' signs.

    They are arbitrary, but matter to GaLore, whose moments outlive them.
    """
    basis = singular_basis(gradient, rank)
    largest = jnp.take_along_axis(basis, jnp.abs(basis).argmax(0, keepdims=True), 0)
    given = read("galore__galore_torch").gradients["w"]
    differences = [jnp.abs(gradient - given[t]).max() for t in _SIGNS]
    signs = jnp.array(list(_SIGNS.values()))[jnp.argmin(jnp.array(differences))]
    return basis * jnp.sign(largest) * signs[None]


def _drawn_in(name: str) -> Callable[..., Any]:
    """The projections that a reference drew."""
    draws = np.stack([draw for draw in read(name).draws if draw.shape[-1] == 3])
    return lambda key, period, shape: jnp.asarray(draws)[period].T


_SINGULAR = {
    "rank": 2,
    "update_period": 10,
    "scale": 1.0,
    "decomposition": _as_the_references,
    "matrix_axes": torch_axes,
}

_EARLY = "it decomposes the gradient one step early, at steps 10 and 20 for 11 and 21"
_BACK = "it steps along the projected gradient, projected back; the authors' code along all of it"


def _case(build: Callable[[], Any], **others: Any) -> Case:
    # The references decompose, and draw projections, in float32. Only w is projected there.
    return Case(build, parts=("w",), rtol=1e-6, atol=1e-6, **others)


REFERENCES: dict[str, Case] = (
    {
        "galore__galore_torch": _case(lambda: baselines.galore(0.01, **_SINGULAR)),
        "galore__zij": _case(lambda: baselines.galore(0.01, **_SINGULAR)),
        "galore__po": _case(lambda: baselines.galore(0.01, **_SINGULAR), departs=_EARLY, at=10),
        "fira__zij": _case(lambda: baselines.fira(0.01, **_SINGULAR)),
        "fira__po": _case(lambda: baselines.fira(0.01, **_SINGULAR), departs=_EARLY, at=10),
    }
    | {
        f"apollo__{library}": _case(
            lambda library=library: baselines.apollo(
                0.01,
                rank=2,
                update_period=10,
                projection=_drawn_in(f"apollo__{library}"),
                matrix_axes=torch_axes,
            ),
            **({"departs": _BACK, "at": 1} if library == "po" else {}),
        )
        for library in ("apollo_torch", "po")
    }
    | {
        f"apollo_mini__{library}": _case(
            lambda library=library, scale=scale: baselines.apollo_mini(
                0.01,
                update_period=10,
                scale=scale,
                projection=_drawn_in(f"apollo_mini__{library}"),
                matrix_axes=torch_axes,
            ),
            **({"departs": _BACK, "at": 1} if library == "po" else {}),
        )
        for library, scale in (("apollo_torch", 128.0), ("po", 1.0))
    }
)

# ---------------------------------------------------------------- readings

_RATE = 0.05
_OTHERS = {"fallback": optax.sgd(_RATE), "matrix_axes": torch_axes, "weight_decay": 0.1}
"""Vectors are trained by gradient descent; w is a matrix of (4, 3), c one of (2, 6)."""

Step = Callable[[np.ndarray, int], np.ndarray]
"""(gradient, step from 1) -> direction."""


def _over_matrices(start_of: Callable[..., Step], *, tall: bool = True) -> Callable[..., Any]:
    """A trajectory over a tree.

    Args:
      start_of: (name of a matrix, its shape) -> its method.
      tall: whether matrices with more columns than rows are transposed.
    """

    def trajectory(start: Arrays, gradients: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        w, steps = dict(start), {}
        for k in w:
            shape = (len(w[k]), w[k].size // len(w[k]))
            turned = tall and shape[0] < shape[1]
            steps[k] = shape, turned, start_of(k, shape[::-1] if turned else shape)
        after = []
        for t, gradient in enumerate(gradients, 1):
            for k, g in gradient.items():
                if g.ndim == 1:
                    w[k] = w[k] - _RATE * g
                    continue
                shape, turned, step = steps[k]
                g = g.reshape(shape)
                u = step(g.T, t).T if turned else step(g, t)
                w[k] = (1 - 0.1 * _RATE) * w[k] - _RATE * u.reshape(w[k].shape)
            after.append(dict(w))
        return after

    return trajectory


def _singular(g: np.ndarray, rank: int) -> np.ndarray:
    return np.linalg.svd(g, full_matrices=False)[2][:rank].T


def _adam(eps: float, *, corrected: bool = True) -> Step:
    """Adam, or with eps added before the correction and that left out."""
    m = v = 0.0

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal m, v
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        if corrected:
            return (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + eps)
        return m / (np.sqrt(v) + eps)

    return step


def _correction(t: int) -> float:
    return np.sqrt(1 - 0.99**t) / (1 - 0.9**t)


def _online_subspace_descent(name: str, shape: tuple[int, int]) -> Step:
    del name, shape
    p, adam, learner = np.zeros(()), _adam(1e-3, corrected=False), _adam(1e-8)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal p
        if t == 1:
            p = _singular(g, 1)
            return 2 * _correction(t) * adam(g @ p, t) @ p.T
        u = 2 * _correction(t) * adam(g @ p, t) @ p.T
        unit = g / np.linalg.norm(g)
        error = unit @ p @ p.T - unit
        slope = 2 * (unit.T @ error + error.T @ unit) @ p
        p = (1 - 0.03 * 0.2) * p - 0.03 * learner(slope, t - 1)
        return u

    return step


def _subset_norm(name: str, shape: tuple[int, int]) -> Step:
    del name
    m, v = np.zeros(shape), np.zeros(shape[0])

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal m, v
        m = 0.9 * m + 0.1 * g
        v = 0.99 * v + 0.01 * np.array([row @ row for row in g])
        return _correction(t) * m / (np.sqrt(v) + 1e-3)[:, None]

    return step


def _subspace_momentum(name: str, shape: tuple[int, int]) -> Step:
    del name
    projector, m = np.zeros(()), np.zeros(shape)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal projector, m
        if (t - 1) % 4 == 0:
            basis = _singular(g, 2)
            projector, m = basis @ basis.T, np.zeros(shape)
        m = 0.9 * m + 0.1 * g @ projector
        return m + g - g @ projector

    return step


def _frugal(name: str, shape: tuple[int, int]) -> Step:
    columns, adam = np.zeros(0, int), _adam(1e-3)

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal columns, adam
        if (t - 1) % 4 == 0:
            key = jax.random.fold_in(jax.random.key(5), (t - 1) // 4)
            key = jax.random.fold_in(key, {"c": 0, "w": 1}[name])
            columns = np.asarray(jax.random.permutation(key, shape[1]))[: shape[1] // 2]
            adam = _adam(1e-3)
        u = 0.3 * np.sign(g)
        u[:, columns] = adam(g[:, columns], (t - 1) % 4 + 1)
        return u

    return step


def _haar_matrix(n: int) -> np.ndarray:
    """Sums of neighbours, then differences, of n numbers, n even."""
    pairs = np.eye(n // 2)
    both = [np.kron(pairs, [1, 1]), np.kron(pairs, [1, -1])]
    return np.concatenate(both) / np.sqrt(2)


def _gwt(name: str, shape: tuple[int, int]) -> Step:
    """Two levels: 3 columns, filled up to 4, become 2 and then 1; 6 become 3, filled up, and 2."""
    del name
    n = shape[1]
    fine = _haar_matrix(n + n % 2)
    middle = len(fine) // 2
    coarse = _haar_matrix(middle + middle % 2)
    adam, previous = _adam(1e-3, corrected=False), np.inf
    v = 0.0

    def step(g: np.ndarray, t: int) -> np.ndarray:
        nonlocal previous, v
        padded = np.pad(g, ((0, 0), (0, n % 2)))
        half, d_fine = np.split(padded @ fine.T, 2, axis=1)
        half = np.pad(half, ((0, 0), (0, middle % 2)))
        a, d_coarse = np.split(half @ coarse.T, 2, axis=1)
        v = 0.99 * v + 0.01 * a**2
        step, scale = adam(a, t), np.sqrt(v) + 1e-3
        limiter = max(1.01, np.linalg.norm(step) / (previous + 1e-8)) / 1.01
        previous = np.linalg.norm(step) / limiter
        half = np.concatenate([step, d_coarse / scale], axis=1) @ coarse
        d_fine = d_fine / np.repeat(scale, 2, axis=1)[:, :middle]
        whole = np.concatenate([half[:, :middle], d_fine], axis=1) @ fine
        return 2 * _correction(t) / limiter * whole[:, :n]

    return step


READINGS: dict[str, Reading] = {
    "online_subspace_descent": Reading(
        lambda: baselines.online_subspace_descent(
            _RATE,
            b2=0.99,
            eps=1e-3,
            rank=1,
            scale=2.0,
            learner=optax.adamw(0.03, b2=0.99, weight_decay=0.2),
            **_OTHERS,
        ),
        _over_matrices(_online_subspace_descent),
    ),
    "subset_norm": Reading(
        lambda: baselines.subset_norm(_RATE, b2=0.99, eps=1e-3, **_OTHERS),
        _over_matrices(_subset_norm),
    ),
    "subspace_momentum": Reading(
        lambda: baselines.subspace_momentum(_RATE, rank=2, update_period=4, **_OTHERS),
        _over_matrices(_subspace_momentum),
    ),
    "frugal": Reading(
        lambda: baselines.frugal(
            _RATE,
            b2=0.99,
            eps=1e-3,
            density=0.5,
            update_period=4,
            free_scale=0.3,
            seed=5,
            **_OTHERS,
        ),
        _over_matrices(_frugal, tall=False),
    ),
    "gwt": Reading(
        lambda: baselines.gwt(_RATE, b2=0.99, eps=1e-3, scale=2.0, **_OTHERS),
        _over_matrices(_gwt, tall=False),
    ),
}
