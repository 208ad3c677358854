"""What low-memory methods promise besides their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt import baselines
from metaopt.baselines.memory_efficient.apollo import gaussian
from metaopt.baselines.memory_efficient.smmf import near_square
from metaopt.baselines.shared import factored
from metaopt.baselines.shared.matrices import torch_axes
from metaopt.baselines.shared.subspaces import singular_basis, tall


def _matrix(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: baselines.galore(0.1, rank=0), "rank"),
        (lambda: baselines.fira(0.1, update_period=0), "period"),
        (lambda: baselines.apollo(0.1, rank=-1), "rank"),
        (lambda: baselines.apollo_mini(0.1, update_period=0), "period"),
        (lambda: baselines.online_subspace_descent(0.1, rank=0), "rank"),
        (lambda: baselines.subspace_momentum(0.1, rank=0), "rank"),
        (lambda: baselines.frugal(0.1, density=1.5), "density"),
        (lambda: baselines.gwt(0.1, level=0), "level"),
        (lambda: baselines.microadam(0.1, window=0), "window"),
        (lambda: baselines.microadam(0.1, density=0.0), "density"),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_factors_have_the_means_of_rows_and_columns():
    square = jnp.square(_matrix((4, 3)))
    v = factored.average(square, factored.zeros(square), 0.0)
    full = np.asarray(factored.inverse_root(v)) ** -2
    np.testing.assert_allclose(full.mean(1), square.mean(1), rtol=1e-5)
    np.testing.assert_allclose(full.mean(0), square.mean(0), rtol=1e-5)


def test_a_matrix_of_rank_one_is_factored_without_loss():
    square = jnp.outer(jnp.array([1.0, 2.0, 0.5]), jnp.array([3.0, 0.1]))
    v = factored.average(square, factored.zeros(square), 0.0)
    np.testing.assert_allclose(factored.inverse_root(v), square**-0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"), [(12, (4, 3)), (36, (6, 6)), (7, (7, 1)), (1, (1, 1)), (0, (0, 1))]
)
def test_the_most_nearly_square_matrix(size, expected):
    assert near_square(size) == expected


def test_wide_matrices_are_turned():
    axes = tall(torch_axes)({"tall": _matrix((4, 3)), "wide": _matrix((2, 3, 2)), "b": jnp.ones(3)})
    assert axes == {"tall": ((0,), (1,)), "wide": ((1, 2), (0,)), "b": None}


def test_the_singular_basis_is_the_best_one():
    g = _matrix((6, 4))
    basis = np.asarray(singular_basis(g, 2))
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-5)
    error = np.linalg.norm(g - g @ basis @ basis.T)
    np.testing.assert_allclose(error, np.linalg.norm(np.linalg.svd(g)[1][2:]), rtol=1e-5)


def test_galore_at_full_rank_and_first_step_is_sign_descent_in_singular_axes():
    g = {"w": _matrix((4, 3))}
    optimizer = baselines.galore(
        1.0, rank=3, eps=1e-30, scale=1.0, matrix_axes=torch_axes, fallback=optax.sgd(1.0)
    )
    update = optimizer.update(g, optimizer.init(g), g)[0]["w"]
    basis = np.linalg.svd(np.asarray(g["w"]), full_matrices=False)[2].T
    expected = -np.sign(np.asarray(g["w"]) @ basis) @ basis.T
    np.testing.assert_allclose(update, expected, atol=1e-4)


def test_apollo_estimates_norms_without_bias():
    """The projection of a row has, on average, the row's norm."""
    row = _matrix((1, 20))
    keys = jax.random.split(jax.random.key(0), 2000)
    bases = jax.vmap(lambda key: gaussian(key, jnp.int32(0), (20, 4)))(keys) / 2
    norms = jnp.square(row @ bases).sum((1, 2))
    np.testing.assert_allclose(norms.mean(), jnp.square(row).sum(), rtol=0.05)


def test_apollo_projects_anew_each_period_and_each_matrix_its_own_way():
    key = jax.random.key(0)
    draws = [
        gaussian(jax.random.fold_in(key, i), jnp.int32(t), (3, 2)) for i in (0, 1) for t in (0, 1)
    ]
    assert len({draw.tobytes() for draw in map(np.asarray, draws)}) == 4


def test_frugal_draws_columns_without_repetition_and_anew():
    params = {"w": _matrix((4, 10))}
    optimizer = baselines.frugal(0.1, density=0.3, update_period=2, matrix_axes=torch_axes)
    state, drawn = optimizer.init(params), []
    for _ in range(6):
        _, state = optimizer.update(params, state, params)
        drawn.append(tuple(np.asarray(optax.tree.get(state, "columns")[0])))
    assert all(len(set(columns)) == 3 for columns in drawn)
    assert drawn[0] == drawn[1]
    assert drawn[2] == drawn[3]
    assert drawn[4] == drawn[5]
    assert len(set(drawn)) > 1


def test_microadam_forgets_nothing_but_rounding():
    """What the window leaves out comes back: a constant gradient is applied in full, in time."""
    params = jnp.zeros(8)
    gradient = jnp.arange(1.0, 9.0)
    optimizer = baselines.microadam(1e-2, window=4, density=0.25, error_block=8)
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for _ in range(60):
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    assert (params < -0.05).all()


def _two_steps(optimizer, first, second):
    params = {"kernel": jnp.ones((4, 3))}
    state = optimizer.init(params)
    for g in (first, second):
        updates, state = optimizer.update({"kernel": g}, state, params)
    return updates["kernel"], state


@pytest.mark.parametrize("name", ["apollo", "apollo_mini", "fira", "gwt"])
def test_a_gradient_of_zeros_does_not_limit_the_next_step(name):
    few = {} if name in ("gwt", "apollo_mini") else {"rank": 1}
    zeros, ones = jnp.zeros((4, 3)), _matrix((4, 3))
    found, _ = _two_steps(getattr(baselines, name)(1.0, **few), zeros, ones)
    assert jnp.linalg.norm(found) > 0.1


def test_a_gradient_of_zeros_in_the_warm_up_is_no_least_norm():
    clipped = baselines.adagc(optax.sgd(1.0), warmup_steps=2)
    ones = jnp.ones((4, 3))
    found, _ = _two_steps(clipped, jnp.zeros((4, 3)), ones)
    np.testing.assert_allclose(found, -ones)


def test_groups_without_momentum_have_scale_one():
    optimizer = baselines.sgg(optax.sgd(1.0), period=1)
    sparse = jnp.zeros((4, 3)).at[0, 0].set(1.0)
    for first in (jnp.zeros((4, 3)), sparse):
        _, state = _two_steps(optimizer, first, sparse)
        (groups,) = state.groups
        np.testing.assert_array_equal(groups.scale[groups.mean == 0], 1.0)


def test_the_last_block_of_microadam_has_its_own_share():
    size = 2**15 + 100
    params = {"kernel": jax.ShapeDtypeStruct((size,), jnp.float32)}
    state = jax.eval_shape(baselines.microadam(0.1, window=2).init, params)
    (window,) = state[0].windows
    assert window.indices.shape == window.values.shape == (2, 328 + 1)


@pytest.mark.parametrize(
    ("factory", "shapes"),
    [
        (baselines.core, ("score_history", "frozen")),
        (baselines.root, ("steps", "matrix_axes")),
        (baselines.frugal, ("density", "update_period", "seed", "matrix_axes")),
        (baselines.microadam, ("window", "density", "error_block")),
    ],
)
def test_hyperparameters_that_are_no_shapes_can_be_injected(factory, shapes):
    optimizer = optax.inject_hyperparams(factory, static_args=shapes)(learning_rate=0.1)
    params = {"kernel": jnp.ones((4, 3))}

    def step(params):
        return optimizer.update(params, optimizer.init(params), params)[0]

    assert jax.eval_shape(step, params)["kernel"].shape == (4, 3)
