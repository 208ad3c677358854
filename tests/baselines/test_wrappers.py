"""What wrappers, and the parts that they are made of, promise beyond their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt import baselines
from metaopt.baselines.distributed.error_feedback import scaled_sign, top_k
from metaopt.baselines.memory import NETWORK, state_bytes
from metaopt.baselines.scaling_rule.per_layer_sp_lr import EXPONENTS
from metaopt.baselines.shared.blocks import Blocks, block_in_order, branches
from metaopt.baselines.wrapper.sgg import k_means


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _network():
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        NETWORK,
        is_leaf=lambda node: isinstance(node, tuple),
    )


# ---------------------------------------------------------------- compression


@pytest.mark.parametrize(("fraction", "kept"), [(0.01, 1), (0.25, 3), (1.0, 12)])
def test_top_k_keeps_the_largest(fraction, kept):
    a = _normal(3, 4)
    sent = np.asarray(top_k(fraction)(a))
    assert np.count_nonzero(sent) == kept
    assert np.abs(sent[sent != 0]).min() >= np.abs(a[sent == 0]).max(initial=0)
    np.testing.assert_array_equal(sent[sent != 0], a[sent != 0])


def test_scaled_sign_keeps_signs_and_the_mean_size():
    a = _normal(3, 4)
    sent = scaled_sign(a)
    np.testing.assert_array_equal(jnp.sign(sent), jnp.sign(a))
    np.testing.assert_allclose(jnp.abs(sent), jnp.mean(jnp.abs(a)), rtol=1e-6)
    assert scaled_sign(jnp.zeros(0)).shape == (0,)


@pytest.mark.parametrize("compressor", [top_k(0.25), scaled_sign])
def test_error_feedback_loses_nothing(compressor):
    optimizer = baselines.error_feedback(optax.sgd(1.0), compressor=compressor)
    state = optimizer.init(jnp.zeros(8))
    gradients = _normal(10, 8)
    moved = jnp.zeros(8)
    for g in gradients:
        u, state = optimizer.update(g, state)
        moved += u
    np.testing.assert_allclose(moved, state.error - gradients.sum(0), atol=1e-5)


# ---------------------------------------------------------------- groups, masks, slow weights


def test_k_means_finds_groups():
    x = jnp.array([[0.0, 0.1, 5.0], [5.2, 9.0, 0.2]])
    label, center = k_means(x, jnp.array([0.0, 4.0, 8.0]))
    np.testing.assert_array_equal(label, [[0, 0, 1], [1, 2, 0]])
    np.testing.assert_allclose(center, [0.1, 5.1, 9.0], rtol=1e-5)
    assert label.dtype == jnp.int8


def test_step_prunes_two_of_four_inputs():
    params = {"conv": {"kernel": _normal(2, 2, 3, 4), "bias": jnp.ones(4)}}
    optimizer = baselines.step_nm(0.01, max_settling=2)
    state = optimizer.init(params)
    for t in range(3):
        updates, state = optimizer.update(params, state, params)
        params = optax.apply_updates(params, updates)
        kept = np.count_nonzero(params["conv"]["kernel"].reshape(3, 4, 4), axis=1)
        np.testing.assert_array_equal(kept, 4 if t == 0 else 2)
    assert np.all(params["conv"]["bias"] != 0)


def test_lookahead_starts_afresh_if_told_to():
    optimizer = baselines.lookahead(optax.adam(0.1), sync_period=2, reset_state=True)
    params = {"kernel": _normal(3, 2)}
    state = optimizer.init(params)
    for steps in (1, 0, 1):
        _, state = optimizer.update(params, state, params)
        assert optax.tree.get(state.inner, "count") == steps


# ---------------------------------------------------------------- blocks


def test_blocks_are_ordered_as_people_count():
    params = {"net": {f"layer_{i}": {"kernel": jnp.full(i + 1, i)} for i in (10, 2, 1)}}
    layout = Blocks(params, branches)
    leaves = layout.leaves(params)
    assert [int(leaves[i][0]) for (i,) in layout.members] == [1, 2, 10]
    flat = layout.gather(leaves, jnp.int32(1))
    np.testing.assert_array_equal(flat, [2, 2, 2] + [0] * 8)
    doubled = layout.tree(layout.scatter(leaves, jnp.int32(1), 2 * flat))
    np.testing.assert_array_equal(doubled["net"]["layer_2"]["kernel"], [4, 4, 4])
    np.testing.assert_array_equal(doubled["net"]["layer_1"]["kernel"], [1, 1])


def test_a_random_order_has_each_block_once():
    key = jax.random.key(0)
    turns = jax.vmap(lambda t: block_in_order("random", key, t, 5))(jnp.arange(20)).reshape(4, 5)
    np.testing.assert_array_equal(np.sort(turns), np.tile(np.arange(5), (4, 1)))
    assert len({tuple(np.asarray(turn)) for turn in turns}) > 1


def test_badam_and_lisa_remember_active_blocks_only():
    network, adam = _network(), optax.adam(1e-3)
    sizes = {k: state_bytes(adam, v) for k, v in network.items()}
    largest = max(sizes.values())
    assert largest <= state_bytes(baselines.badam(adam), network) <= largest + 64
    layers = max(sizes[k] for k in ("patches", "attention", "dense_1", "dense_2"))
    promised = sizes["embed"] + sizes["head"] + sizes["norm"] + 2 * layers
    assert promised - 64 <= state_bytes(baselines.lisa(adam), network) <= promised + 64


def test_schedules_and_injected_hyperparameters_outlast_a_block():
    params = {"Dense_0": jnp.ones(2), "Dense_1": jnp.ones(3)}

    def steps(inner, change=None):
        optimizer = baselines.badam(inner, period=1, order="ascending")
        state, sizes = optimizer.init(params), []
        for _ in range(3):
            updates, state = optimizer.update(params, state, params)
            sizes.append(float(optax.tree.norm(updates, ord="inf")))
            state = state if change is None else change(state)
        return sizes

    def change(state):
        state.active.hyperparams["learning_rate"] = jnp.float32(0.5)
        return state

    np.testing.assert_allclose(steps(optax.sgd(lambda t: 1.0 / (1 + t))), [1, 1 / 2, 1 / 3])
    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)
    np.testing.assert_allclose(steps(injected, change), [1, 0.5, 0.5])


# ---------------------------------------------------------------- widths


def test_exponents_keep_layers_at_order_one():
    """width x the layer's constant x the learning rate is 1, with the root of the width if what is
    added up does not align. An embedding adds up nothing."""
    constants = {
        "standard": (0, 0, 0),
        "ntk": (0, -0.5, -0.5),
        "mup": (0.5, 0, -0.5),
        "mean_field": (0, -0.5, -1),
    }
    for name, (embedding, hidden, head) in constants.items():
        for alignment, summed in (("full", 1), ("none", 0.5)):
            expected = (embedding, summed + hidden, summed + head)
            assert EXPONENTS[name][alignment] == expected


def test_a_width_ratio_is_that_of_all_matrices():
    params = {"Dense_0": {"kernel": _normal(8, 8)}, "head": {"kernel": _normal(8, 3)}}
    narrow = {"Dense_0": {"kernel": jnp.ones((2, 2))}, "head": {"kernel": jnp.ones((2, 3))}}
    updates = [
        optimizer.update(params, optimizer.init(params), params)[0]
        for optimizer in (
            baselines.mup_adam(optax.adam(0.1), base_params=narrow),
            baselines.mup_adam(optax.adam(0.1), width_ratio=4.0),
        )
    ]
    jax.tree.map(np.testing.assert_array_equal, *updates)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("aswa", {"period": 0}),
        ("badam", {"period": 0}),
        ("cautious", {"rescale": "median"}),
        ("gradient_accumulation", {"every_k_schedule": 0}),
        ("hift", {"group_size": 0}),
        ("lisa", {"active": 0}),
        ("lookahead", {"sync_period": 0}),
        ("per_layer_sp_lr", {"parametrization": "spectral"}),
        ("sgg", {"groups": 200}),
        ("step_nm", {"n": 5}),
    ],
)
def test_impossible_hyperparameters_are_refused(name, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        baselines.BASELINES[name].optimizer(0.1, num_steps=10, **wrong)
