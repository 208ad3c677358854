"""What the methods around weight matrices promise beyond their trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt import baselines
from metaopt.baselines.matrix_preconditioned.poet import orders
from metaopt.baselines.riemannian.moe_lora_riemannian import gated, lora_pairs
from metaopt.baselines.shared.axes import along, gram, scaled_along, square_sums
from metaopt.baselines.weight_decay.trp import low_rank


def _draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_matrices_along_axes_are_products_on_either_side():
    g, left, right = _draw(0, 4, 3), _draw(1, 4, 4), _draw(2, 3, 3)
    np.testing.assert_allclose(along(along(g, 0, left), 1, right), left @ g @ right.T, rtol=1e-4)
    np.testing.assert_allclose(gram(g, 0), g @ g.T, rtol=1e-5)
    np.testing.assert_allclose(gram(g, 1), g.T @ g, rtol=1e-5)
    tensor, factors = _draw(3, 2, 3, 4), _draw(4, 3)
    np.testing.assert_allclose(square_sums(tensor, 1), np.diag(gram(tensor, 1)), rtol=1e-5)
    expected = along(tensor, 1, np.diag(factors))
    np.testing.assert_allclose(scaled_along(tensor, 1, factors), expected, rtol=1e-5)


def _after(optimizer, params, steps=12):
    """Parameters after steps with random gradients."""
    optimizer = optax.with_extra_args_support(optimizer)

    @jax.jit
    def step(params, state, key):
        gradients = jax.tree.map(lambda w: jax.random.normal(key, w.shape), params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for key in jax.random.split(jax.random.key(0), steps):
        params, state = step(params, state, key)
    return params


def test_shampoo_ignores_the_blocks_it_is_given_where_it_has_but_one():
    params = {"kernel": _draw(0, 6, 5)}
    whole, larger = (
        _after(baselines.distributed_shampoo(0.01, block_size=size, start=0), params)
        for size in (6, 1000)
    )
    np.testing.assert_array_equal(whole["kernel"], larger["kernel"])


def test_a_long_axis_of_shampoo_keeps_a_diagonal():
    state = baselines.shampoo(0.1, max_size=4).init({"kernel": _draw(0, 6, 4)})
    shapes = [leaf.shape for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert shapes == [(6,), (4, 4)]


def test_poet_keeps_singular_values():
    params = {"kernel": _draw(0, 7, 5)}
    after = _after(baselines.poet(1e-3, block_size=3, period=4), params, 20)
    assert np.abs(after["kernel"] - params["kernel"]).max() > 0.01
    before, now = (np.linalg.svd(p["kernel"], compute_uv=False) for p in (params, after))
    np.testing.assert_allclose(now, before, rtol=1e-4)


def test_poet_draws_whole_orders():
    rows, columns = orders(jax.random.key(0), (5, 3))
    assert sorted(rows.tolist()) == list(range(5))
    assert sorted(columns.tolist()) == list(range(3))


def test_aro_turns_with_the_coordinates():
    """Gradients in rotated coordinates make rotated steps, once R has forgotten where it began."""
    turn = np.linalg.qr(_draw(1, 3, 3))[0]
    gradient = _draw(0, 3, 6)
    optimizer = baselines.aro(1.0, 0.0)
    steps = []
    for g in (gradient, turn @ gradient):
        params = {"kernel": jnp.zeros((6, 3))}
        state, updates = optimizer.init(params), params
        for _ in range(200):
            updates, state = optimizer.update({"kernel": jnp.asarray(g.T)}, state, params)
        steps.append(updates["kernel"].T)
    np.testing.assert_allclose(steps[1], turn @ steps[0], atol=2e-2)


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_truncation_keeps_the_energy_with_the_least_rank(energy):
    w = _draw(0, 8, 5)
    s = np.linalg.svd(w, compute_uv=False)
    rank = np.linalg.matrix_rank(low_rank(w, energy), tol=1e-4)
    assert np.sum(s[:rank] ** 2) >= (energy - 1e-6) * np.sum(s**2)
    assert np.sum(s[: rank - 1] ** 2) < energy * np.sum(s**2)


def test_lawn_holds_norms_and_frees_vectors():
    params = {"kernel": _draw(0, 4, 3), "bias": _draw(1, 3)}
    optimizer = baselines.lawn(optax.sgd(0.1), num_free=2)
    norms = [np.linalg.norm(_after(optimizer, params, n)["kernel"]) for n in (1, 2, 3, 9)]
    np.testing.assert_allclose(norms[2:], norms[1], rtol=1e-5)
    assert abs(norms[1] - norms[0]) > 1e-3
    free = _after(optax.sgd(0.1), params, 9)
    np.testing.assert_allclose(_after(optimizer, params, 9)["bias"], free["bias"], rtol=1e-5)


def test_scale_remembers_the_last_layer_alone():
    params = {"dense": {"kernel": _draw(0, 4, 3)}, "head": {"kernel": _draw(1, 3, 2)}}
    state = baselines.scale(0.1).init(params)
    assert [leaf.shape for leaf in jax.tree.leaves(state) if leaf.ndim] == [(3, 2)]


def test_scale_normalizes_embeddings_over_tokens():
    params = {"embed": {"embedding": _draw(0, 6, 4)}}
    optimizer = baselines.scale(1.0)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(np.mean(updates["embed"]["embedding"] ** 2, axis=0), 1, rtol=1e-5)


def test_scaled_gradient_descent_does_not_see_how_a_matrix_is_factored():
    """X A^-1 and A Y make the same X Y, and steps that change it alike, to first order."""
    x, y, change = _draw(0, 3, 5, 2), _draw(1, 3, 2, 4), _draw(2, 2, 2)
    target = _draw(3, 3, 5, 4)
    optimizer = baselines.moe_lora_riemannian(1.0, ridge=1e-8, base=optax.sgd(1e-3))

    def moved(x, y):
        params = {"expert": {"lora_a": jnp.asarray(x), "lora_b": jnp.asarray(y)}}

        def loss(params):
            product = params["expert"]["lora_a"] @ params["expert"]["lora_b"]
            return jnp.sum((product - target) ** 2)

        updates, _ = optimizer.update(jax.grad(loss)(params), optimizer.init(params), params)
        dx, dy = updates["expert"]["lora_a"], updates["expert"]["lora_b"]
        return dx @ y + x @ dy

    other = moved(x @ np.linalg.inv(change), change @ y)
    np.testing.assert_allclose(moved(x, y), other, rtol=1e-2, atol=1e-4)


def test_adapters_are_paired_by_name():
    params = {
        "query": {"lora_A": {"kernel": 0}, "lora_B": {"kernel": 0}},
        "value": {"kernel": 0, "lora_a": 0},
    }
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert [(paths[i], paths[j]) for i, j in lora_pairs(params)] == [
        ("['query']['lora_A']['kernel']", "['query']['lora_B']['kernel']")
    ]


def test_a_gated_output_rescales_its_own_derivative():
    gate, output = jnp.float32(0.25), jnp.float32(3.0)
    assert gated(gate, output) == gate * output
    by_gate, by_output = jax.grad(gated, (0, 1))(gate, output)
    assert by_gate == output
    assert by_output == 0.5


@pytest.mark.parametrize(
    "build",
    [
        lambda: baselines.shampoo(0.1, period=0),
        lambda: baselines.soap(0.1, period=0),
        lambda: baselines.conda(0.1, period=0),
        lambda: baselines.poet(0.1, block_size=0),
        lambda: baselines.cosmos(0.1, rank=0),
        lambda: baselines.aro(0.1, base="softmax"),
        lambda: baselines.distributed_shampoo(0.1, block_size=0),
        lambda: baselines.distributed_shampoo(0.1, graft="adam"),
        lambda: baselines.trp(optax.sgd(0.1), energy=0.0),
        lambda: baselines.lawn(optax.sgd(0.1), num_free=-1),
    ],
)
def test_impossible_hyperparameters_are_refused(build):
    with pytest.raises(ValueError, match="must be"):
        build()
