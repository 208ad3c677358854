"""The compiled transform: what Optax expects of a transformation, and the meaning of a rule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DYADIC, SHAPES, agree, inputs, programs, spread

from metaopt.rules import factory, library, parse, transform

PARAMS = {"a": jnp.ones((2, 3)), "b": (jnp.zeros(()), jnp.zeros((0, 4))), "c": {}}
RULES = [*library.names(), "hard"]
HARD = parse("""
def hard(w, g, m, lr, t, h=0.5):
    n = norm(w)
    s = cosine_sim(g, m)
    m = interp(g, m, h)
    c = clip_by_global_norm(g, lr)
    k = global_norm(t)
    u = c * n
    u = u + s
    m = m + k
    return u, m
""")


def rule(name):
    return HARD if name == "hard" else library.get(name)


def grads_like(params, seed=0):
    keys = iter(jax.random.split(jax.random.key(seed), 10))
    return jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape, x.dtype), params)


def assert_close(a, b, rtol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7), a, b)


@settings(max_examples=120)
@given(programs(12, hyperparameters={"h": 0.5}), st.sampled_from([0.5, -0.25]))
def test_means_what_the_reference_means(program, h):
    with jax.enable_x64(True):
        steps = list(inputs())
        optimizer = transform(program, 0.125, h=h)
        state = optimizer.init([jnp.asarray(x) for x in steps[0][0]])
        found = []
        for w, g in steps:
            w, g = ([jnp.asarray(x) for x in xs] for xs in (w, g))
            updates, state = optimizer.update(g, state, w)
            found.append(-np.concatenate([np.ravel(x) for x in updates]))
        agree(found, spread(program, steps, 0.125, {"h": h}))


@settings(max_examples=8)
@given(programs(8, constants=DYADIC))
def test_means_the_same_under_jit_and_scan(program):
    with jax.enable_x64(True):
        steps = list(inputs(4))
        ws, gs = ([np.stack(x) for x in zip(*xs, strict=True)] for xs in zip(*steps, strict=True))
        optimizer = transform(program, 0.125)

        def step(state, wg):
            w, g = wg
            updates, state = optimizer.update(g, state, w)
            return state, updates

        zeros = [jnp.zeros(s) for s in SHAPES]
        _, out = jax.jit(lambda wg: jax.lax.scan(step, optimizer.init(zeros), wg))((ws, gs))
        found = [-np.concatenate([np.ravel(x[i]) for x in out]) for i in range(4)]
        agree(found, spread(program, steps, 0.125))


@pytest.mark.parametrize("name", RULES)
def test_one_compilation_and_a_fixed_state(name):
    optimizer = transform(rule(name), optax.linear_schedule(0.1, 0.01, 10))
    traces = []

    @jax.jit
    def step(grads, state, params):
        traces.append(1)
        return optimizer.update(grads, state, params, value=0.0)

    state = optimizer.init(PARAMS)
    for i in range(3):
        updates, new = step(grads_like(PARAMS, i), state, PARAMS)
        assert jax.tree.structure(new) == jax.tree.structure(state)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, PARAMS)
        state = new
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", RULES)
def test_dtypes_are_kept(name, dtype):
    params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
    optimizer = transform(rule(name), lambda count: jnp.float32(0.1) / (count + 1))
    updates, state = optimizer.update(grads_like(params), optimizer.init(params), params)
    leaves = [*jax.tree.leaves(updates), *jax.tree.leaves(state.states)]
    assert {x.dtype for x in leaves} == {jnp.dtype(dtype)}


def test_state_holds_only_what_is_needed():
    dead = parse(
        "def f(w, g, m, v, lr, t):\n  m = m + t\n  v = v + g\n  u = lr * v\n  return u, m, v"
    )
    state = transform(dead, 0.1).init(PARAMS)
    assert state.count is None
    assert set(state.states) == {"v"}
    assert transform(dead, lambda count: 0.1).init(PARAMS).count == 0


def test_a_schedule_sees_the_count_from_zero():
    optimizer = transform(library.get("sgd"), lambda count: jnp.asarray([0.5, 0.25])[count])
    state = optimizer.init(jnp.ones(()))
    for rate in (0.5, 0.25):
        updates, state = optimizer.update(jnp.ones(()), state)
        assert updates == -rate


def test_parameters_are_wanted_only_where_read():
    transform(library.get("adam"), 0.1).update(
        PARAMS, transform(library.get("adam"), 0.1).init(PARAMS)
    )
    optimizer = transform(library.get("lion"), 0.1)
    with pytest.raises(ValueError, match="'lion' reads the parameters"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))


def test_hyperparameters():
    with pytest.raises(TypeError, match="did you mean weight_decay"):
        transform(library.get("lion"), 0.1, weight_decy=0.1)
    optimizer = transform(library.get("lion"), 0.1, weight_decay=1.0)
    updates, _ = optimizer.update([jnp.ones(())], optimizer.init([jnp.ones(())]), [jnp.ones(())])
    np.testing.assert_allclose(updates[0], -0.2, rtol=1e-6)


def test_composes():
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(())}
    plain = transform(library.get("adamw"), 0.1)
    expected, _ = plain.update(grads_like(params), plain.init(params), params)
    chained = optax.chain(optax.scale(1.0), transform(library.get("adamw"), 0.1))
    injected = optax.inject_hyperparams(factory(library.get("adamw")))(learning_rate=0.1, b1=0.9)
    rated = optax.inject_hyperparams(transform)(library.get("adamw"), lambda count: 0.1)
    for optimizer in (chained, injected, rated):
        updates, state = jax.jit(optimizer.update)(
            grads_like(params), optimizer.init(params), params
        )
        assert_close(updates, expected)
    assert set(injected.init(params).hyperparams) >= {"learning_rate", "b1", "weight_decay"}
    del state
    many = optax.MultiSteps(transform(library.get("lion"), 0.1), every_k_schedule=2)
    state = many.init(params)
    for _ in range(2):
        updates, state = jax.jit(many.update)(grads_like(params), state, params)
    assert np.all(np.abs(updates["a"]) > 0)


def test_vmap_over_learning_rates_is_a_loop_over_them():
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(())}

    def first(rate):
        optimizer = transform(HARD, rate, h=rate)
        return optimizer.update(grads_like(params), optimizer.init(params), params)[0]

    rates = jnp.array([0.1, 0.2])
    assert_close(
        jax.vmap(first)(rates), jax.tree.map(lambda *x: jnp.stack(x), *map(first, [0.1, 0.2]))
    )


def test_none_and_masked_leaves_pass_through():
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    optimizer = transform(HARD, 0.1)
    state = optimizer.init(params)
    updates, new = optimizer.update({"a": jnp.ones(2), "b": None}, state, params)
    assert updates["b"] is None
    assert new.states["m"]["b"] is state.states["m"]["b"]
    masked = optax.masked(transform(library.get("lion"), 0.1), {"a": True, "b": False})
    updates, _ = masked.update(params, masked.init(params), params)
    np.testing.assert_array_equal(updates["b"], params["b"])
    assert np.all(updates["a"] < 0)


def test_a_tree_without_leaves():
    optimizer = transform(HARD, 0.1)
    updates, _ = optimizer.update({}, optimizer.init({}), {})
    assert updates == {}


def test_a_saved_state_goes_on_identically():
    optimizer = transform(library.get("adam"), 0.1)
    state = optimizer.init(PARAMS)
    _, state = optimizer.update(grads_like(PARAMS), state, PARAMS)
    saved = jax.tree.unflatten(
        jax.tree.structure(state), list(map(np.asarray, jax.tree.leaves(state)))
    )
    a, _ = optimizer.update(grads_like(PARAMS, 1), state, PARAMS)
    b, _ = optimizer.update(grads_like(PARAMS, 1), saved, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("name", library.names())
def test_the_loss_of_a_quadratic_falls(name):
    rate = 50.0 if name == "adamw_no_bias_correction" else 0.05
    optimizer = transform(library.get(name), rate)

    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(2 * x, state, x)
        return (optax.apply_updates(x, updates), state), jnp.sum(x * x)

    start = jnp.asarray([3.0, -2.0])
    _, losses = jax.lax.scan(step, (start, optimizer.init(start)), length=60)
    assert losses[-1] < 0.7 * losses[0]
