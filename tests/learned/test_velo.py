"""VeLO against the specification (sections 0 and 2), but for the deviations that it names."""

from functools import partial

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import pytest
from baseline_checks.trajectories import quick_jit

from metaopt.learned import accumulators, count, features, loss_features, tensors, velo

STEPS, HORIZON = 4, 40.0
SHAPES = {"kernel": (2, 1, 4, 3), "matrix": (4, 3), "scalar": (), "vector": (5,)}
PARAMS = readings.arrays(0, SHAPES)
GRADIENTS = readings.arrays(1, SHAPES, STEPS)
GRADIENTS["vector"][2, 0] = 5000.0  # clipped
LOSSES = np.array([2.0, 1.5, 1.7, 1.2], np.float32)
LEARNED = velo(hidden=5, bank=3)
RUN = partial(readings.trained_on_losses, partial(LEARNED.bind, compact=False))


@pytest.fixture(scope="module")
def theta():
    return readings.random_weights(LEARNED, 2)


# ---------------------------------------------------------------- what the networks see

_DRAW = np.random.default_rng(3)
_FALLING = 3 * np.exp(-np.arange(30) / 10) + 0.1
SEQUENCES = {
    "falling": _FALLING,
    "noisy": _FALLING + 0.3 * _DRAW.normal(size=30),
    "outlier": np.where(np.arange(30) == 11, 1e6, _FALLING),
    "not a number": np.where(np.arange(30) == 11, np.nan, _FALLING),
    "infinite": np.where(np.arange(30) == 11, np.inf, _FALLING),
    "negative": _FALLING - 5,
}


@pytest.fixture(scope="module")
def seen_of_losses():
    """For each length of training the features of all sequences after every loss."""

    @quick_jit
    @partial(jax.vmap, in_axes=(None, 0))
    @partial(jax.vmap, in_axes=(0, None))
    def found(losses, num_steps):
        def step(state, loss):
            state = loss_features.updated(state, loss, num_steps)
            return state, loss_features.features(state)

        return jax.lax.scan(step, loss_features.init(), losses)[1]

    lengths = (4.0, 30.0, 1000.0)
    losses = np.stack(list(SEQUENCES.values())).astype(np.float32)
    rows = np.asarray(found(losses, np.float32(lengths)))
    return {T: dict(zip(SEQUENCES, row, strict=True)) for T, row in zip(lengths, rows, strict=True)}


@pytest.mark.parametrize("num_steps", [4.0, 30.0, 1000.0])
@pytest.mark.parametrize("name", SEQUENCES)
def test_features_of_the_losses(name, num_steps, seen_of_losses):
    found = seen_of_losses[num_steps][name]
    assert found.shape == (30, 9)
    assert not found[:2].any()
    if num_steps > 10:  # otherwise all averages are the same one
        expected = readings.loss_features(np.float32(SEQUENCES[name]), num_steps)
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1
    if name == "falling":
        assert (found[2:] == -1).all()


def test_features_of_a_parameter():
    @quick_jit
    def found(params, gradients):
        def one(p, gs):
            old = accumulators.zeros(p.shape, compact=False)
            for g in gs[:2]:
                old = accumulators.updated(old, g, accumulators.Decays())
            return features.velo(p, gs[1], old)

        return {name: one(p, gradients[name]) for name, p in params.items()}

    for name, of_tensor in found(PARAMS, GRADIENTS).items():
        memory, shape = {}, SHAPES[name]
        for g in np.asarray(GRADIENTS[name][:2], np.float64):
            readings.averaged(memory, g)
        p, g = (np.asarray(x, np.float64) for x in (PARAMS[name], GRADIENTS[name][1]))
        expected = readings.velo_features(memory, p, g)
        assert len(of_tensor) == len(expected) == 30
        for i, (x, y) in enumerate(zip(of_tensor, expected, strict=True)):
            x, y = (np.broadcast_to(z, shape) for z in (x, y))
            # Where terms of an average cancel, its error is that of the terms.
            np.testing.assert_allclose(
                x, y, rtol=1e-5, atol=1e-6 * np.abs(y).max(), err_msg=f"feature {i} of {name}"
            )


def _size(x):
    return 0.5 * np.clip(np.log(1e-8 + np.abs(10 * x)), -5, 5)


def _of_tensor(memory, p):
    """Statistics of a tensor (5,), before its gradient."""
    s = 1 / np.sqrt(max(1e-9, (p**2).mean()))
    if not memory:
        memory.update(m=[0 * p] * 3, v=0 * p, row=[0.0] * 3, col=[0.0] * 3)
    m, v = [s * x for x in memory["m"]], s * memory["v"]
    return _size(np.array([*(x.var() for x in m), v.mean(), v.var()]))


# ---------------------------------------------------------------- whole updates


def _reading(theta, num_steps=HORIZON):
    """All updates, stacked."""
    p = {name: np.asarray(w, np.float64) for name, w in PARAMS.items()}
    memory = {name: {} for name in p}
    h, c = ({name: np.asarray(theta["start"][x], np.float64) for name in p} for x in "hc")
    losses, found = readings.loss_features(LOSSES, num_steps), {name: [] for name in p}
    for t in range(STEPS):
        common = np.concatenate([losses[t], readings.of_training(t, num_steps)])
        x = {
            name: np.concatenate([common, readings.of_rank(w.shape), _of_tensor(memory[name], w)])
            for name, w in p.items()
        }
        others = [np.maximum(0, readings.linear(theta["mixed"], row)) for row in x.values()]
        mixed = np.max(others, axis=0)
        for name, w in p.items():
            y = readings.linear(theta["own"], x[name]) + mixed
            h[name], c[name] = readings.lstm(theta["lstm"], y, h[name], c[name])
            controls = readings.linear(theta["controls"], h[name])
            (rate,) = readings.linear(theta["rate"], h[name])
            bank = jax.tree.map(np.float64, theta["bank"])
            net = jax.tree.map(
                lambda of_all, by=controls: (
                    100 * np.mean([a * of_one for a, of_one in zip(by, of_all, strict=True)], 0)
                ),
                bank,
            )
            g = np.clip(np.asarray(GRADIENTS[name][t], np.float64), -1000, 1000)
            readings.averaged(memory[name], g)
            seen = readings.normalized(readings.velo_features(memory[name], w, g), w.shape)
            o = readings.perceptron(net, seen)
            size = 0.001 * rate * np.sqrt((w**2).mean() + 1e-9)
            found[name].append(-size * o[..., 0] * np.exp(0.001 * o[..., 1]))
        p = {name: w + found[name][-1] for name, w in p.items()}
    return {name: np.stack(steps) for name, steps in found.items()}


def _milder(theta):
    """Weights of the bank so small that exp(0.001 o) stays finite."""
    return {**theta, "bank": jax.tree.map(lambda w: 0.05 * w, theta["bank"])}


def test_updates(theta):
    theta = _milder(theta)
    found, state = quick_jit(RUN)(theta, PARAMS, GRADIENTS, LOSSES, HORIZON)
    expected = _reading(theta)
    for name, updates in expected.items():
        unit = np.abs(updates).max()
        readings.same({name: found[name]}, {name: updates}, unit=unit, tolerance=2e-4)
    assert state.count == state.losses.count == STEPS


def test_the_length_of_the_training_may_be_traced(theta):
    theta, lengths = _milder(theta), (20.0, 80.0)
    run = quick_jit(jax.vmap(RUN, in_axes=(None, None, None, None, 0)))
    found, _ = run(theta, PARAMS, GRADIENTS, LOSSES, np.float32(lengths))
    for i, num_steps in enumerate(lengths):
        for name, updates in _reading(theta, num_steps).items():
            unit = np.abs(updates).max()
            readings.same({name: found[name][i]}, {name: updates}, unit=unit, tolerance=2e-4)


# ---------------------------------------------------------------- weights and state


def test_the_number_of_weights():
    published = 2_320_385
    dead_linear = 30 * 512 + 512
    variances = 2 * 2 * 512  # one instead of three, in two linear layers
    third_output = 256 * (4 + 1)
    found = count(readings.shapes_of_weights(velo()))
    assert found == published - dead_linear - variances - third_output == 2_301_185


def test_the_number_of_weights_of_other_sizes():
    hidden, bank, inputs = 5, 3, tensors.FRACTIONS + tensors.RANKS + loss_features.COUNT + 5
    one = (30 + 1) * 4 + (4 + 1) * 4 + (4 + 1) * 2
    recurrent = 4 * hidden * (2 * hidden + 1) + 2 * hidden
    linears = 2 * hidden * (inputs + 1) + (bank + 1) * (hidden + 1)
    assert count(readings.shapes_of_weights(LEARNED)) == bank * one + recurrent + linears


def test_the_state_before_any_update(theta):
    state = LEARNED.bind(theta, num_steps=10).init(PARAMS)
    assert state.count.dtype == jnp.int32
    for found, name in zip(state.lstm, "hc", strict=True):
        np.testing.assert_array_equal(found, np.tile(theta["start"][name], (len(SHAPES), 1)))
    assert not any(leaf.any() for leaf in jax.tree.leaves((state.acc, state.count)))
    assert {acc.v.dtype for acc in state.acc} == {jnp.dtype(jnp.bfloat16)}
    assert (state.losses.lowest == np.inf).all()
    assert not any(leaf.any() for leaf in state.losses[:3])


# ---------------------------------------------------------------- what it asks for


def test_it_asks_for_the_length_of_the_training(theta):
    with pytest.raises(TypeError, match=r"velo/2 sees what fraction .* pass num_steps="):
        LEARNED.bind(theta)
    for steps in (0, jnp.int32(0), float("nan")):
        with pytest.raises(ValueError, match="at least 1, got"):
            LEARNED.bind(theta, num_steps=steps)
    with pytest.raises(ValueError, match=r"a number, got an array of shape \(2,\)"):
        LEARNED.bind(theta, num_steps=jnp.ones(2))


def test_it_asks_for_the_loss_and_for_parameters(theta):
    optimizer = LEARNED.bind(theta, num_steps=10)
    state = optimizer.init(PARAMS)
    with pytest.raises(TypeError, match=r"velo/2 sees the training loss.* value=loss"):
        optimizer.update(PARAMS, state, PARAMS)
    with pytest.raises(ValueError, match="velo/2 sees the parameters"):
        optimizer.update(PARAMS, state, value=1.0)


@pytest.mark.parametrize("first", [np.nan, np.inf, -np.inf, 0.0])
def test_a_bad_first_loss_is_got_over(first):
    losses = np.float32([first, 3.0, 2.0, 2.5])

    @quick_jit
    def total(losses):
        def step(kept, loss):
            return loss_features.updated(kept, loss, jnp.float32(100)), None

        return jax.lax.scan(step, loss_features.init(), losses)[0].total

    assert (np.asarray(total(losses)) > 0.1).any()
