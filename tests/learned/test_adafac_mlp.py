"""AdaFac-MLP against the specification (sections 0 and 1), and what its compact state promises."""

from functools import partial

import jax
import jax.numpy as jnp
import learned_readings as readings
import numpy as np
import optax
import pytest
from baseline_checks.trajectories import quick_jit

from metaopt.baselines.memory import state_bytes
from metaopt.learned import accumulators, adafac_mlp, count, features, mlp
from metaopt.learned.adafac_mlp import learned_decays

STEPS = 6
SHAPES = {
    "kernel": (2, 5, 3, 4),  # the largest axis before the second largest
    "scalar": (),
    "square": (3, 3),
    "tall": (4, 3),
    "vector": (5,),
    "wide": (3, 4),
}
PARAMS = readings.arrays(0, SHAPES)
GRADIENTS = readings.arrays(1, SHAPES, STEPS)


def _some(*names):
    """A smaller tree, which takes less time to compile: parameters and gradients."""
    return ({name: tree[name] for name in names} for tree in (PARAMS, GRADIENTS))


PUBLISHED = ((0.9, 0.99, 0.999), 0.999, (0.9, 0.99, 0.999))
LEARNED = adafac_mlp()


# ---------------------------------------------------------------- the specification, in numpy


def _rsqrt(x):
    return 1 / np.sqrt(x)


def _features(memory, p, g, decays):
    """The 28 features, before they are normalized, from one more gradient."""
    momentum, second, factored = decays
    if not memory:
        memory.update(m=[0.0] * 3, v=0.0, row=[0.0] * 3, col=[0.0] * 3)
    memory["m"] = [d * m + (1 - d) * g for d, m in zip(momentum, memory["m"], strict=True)]
    memory["v"] = second * memory["v"] + (1 - second) * g**2
    m, v, q = memory["m"], memory["v"], g**2 + 1e-30
    if g.ndim < 2:
        row = col = [d * r + (1 - d) * q for d, r in zip(factored, memory["row"], strict=True)]
        memory["row"] = row
        direct = [g * _rsqrt(np.maximum(x + 1e-9, 1e-9)) for x in row]
        averaged = [a * (x + 1e-6) ** -0.5 for a, x in zip(m, row, strict=True)]
    else:
        d1, d0 = np.argsort(g.shape)[-2:]
        memory["row"] = [
            d * r + (1 - d) * q.mean(axis=d0) for d, r in zip(factored, memory["row"], strict=True)
        ]
        memory["col"] = [
            d * c + (1 - d) * q.mean(axis=d1) for d, c in zip(factored, memory["col"], strict=True)
        ]
        reduced = d1 - 1 if d1 > d0 else d1
        rf = [
            _rsqrt(np.maximum(r / (r.mean(axis=reduced, keepdims=True) + 1e-9), 1e-9))
            for r in memory["row"]
        ]
        cf = [_rsqrt(np.maximum(c, 1e-9)) for c in memory["col"]]
        rf, row = ([np.expand_dims(x, d0) for x in xs] for xs in (rf, memory["row"]))
        cf, col = ([np.expand_dims(x, d1) for x in xs] for xs in (cf, memory["col"]))
        direct = [g * r * c for r, c in zip(rf, cf, strict=True)]
        averaged = [a * r * c for a, r, c in zip(m, rf, cf, strict=True)]
    return [
        *(g, p, *m, v),
        *(a * _rsqrt(v + 1e-6) for a in m),
        _rsqrt(v + 1e-6),
        *direct,
        *(*row, *col),
        *(_rsqrt(x + 1e-8) for x in (*row, *col)),
        *averaged,
    ]


def _reading(theta):
    decays = _learned_decays(theta["decays"])

    def step(memory, name, p, g, t):
        seen = readings.normalized(_features(memory, p, g, decays), p.shape)
        outputs = readings.perceptron(theta["mlp"], readings.with_time(seen, t))
        return -0.001 * outputs[..., 0] * np.exp(0.001 * outputs[..., 1])

    return step


def _learned_decays(offsets):
    return tuple(
        1 - np.exp(10 * (np.log(1 - np.asarray(start)) / 10 + np.asarray(offsets[name])))
        for name, start in zip(("momentum", "second", "factored"), PUBLISHED, strict=True)
    )


# ---------------------------------------------------------------- the code follows it


@pytest.fixture(scope="module")
def features_of_each():
    """Features of every tensor after two gradients."""

    @quick_jit
    def found(params, gradients):
        def one(p, gs):
            old = accumulators.zeros(p.shape, compact=False)
            for g in gs[:2]:
                old = accumulators.updated(old, g, accumulators.Decays())
            return features.adafac(p, gs[1], old)

        return {name: one(p, gradients[name]) for name, p in params.items()}

    return found(PARAMS, GRADIENTS)


@pytest.mark.parametrize("name", SHAPES)
def test_features(name, features_of_each):
    shape, found, memory = SHAPES[name], features_of_each[name], {}
    first, second = np.asarray(GRADIENTS[name][:2], np.float64)
    p = np.asarray(PARAMS[name], np.float64)
    _features(memory, p, first, PUBLISHED)
    expected = _features(memory, p, second, PUBLISHED)
    assert len(found) == len(expected) == 28
    for i, (x, y) in enumerate(zip(found, expected, strict=True)):
        # Where terms of an average cancel, its error is that of the terms.
        x, y, atol = np.broadcast_to(x, shape), np.broadcast_to(y, shape), 1e-6 * np.abs(y).max()
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol, err_msg=f"feature {i}")


def _zeros():
    """Weights that are 0: decays as published, and no step."""
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), readings.shapes_of_weights(LEARNED)
    )


def _random(seed, learned=LEARNED):
    weights = readings.random_weights(learned, seed)
    # A tenth of an offset is a factor e on 1 - d.
    return {**weights, "decays": jax.tree.map(lambda leaf: 0.1 * leaf, weights["decays"])}


# Narrow and wide layers are computed in different ways, tensors apart and together, and the first
# layer on a GPU, whose way is open to a CPU, too.
@pytest.mark.parametrize(
    ("hidden", "names", "joined", "backend"),
    [
        (4, ("kernel", "scalar", "vector"), False, "cpu"),
        (4, ("kernel", "scalar", "vector"), True, "cpu"),
        (4, ("kernel", "scalar", "vector"), False, "gpu"),
        (4, ("kernel", "scalar", "vector"), True, "gpu"),
        (12, ("scalar", "wide"), False, "cpu"),
    ],
)
def test_updates(monkeypatch, hidden, names, joined, backend):
    monkeypatch.setattr(mlp, "_SMALL", 10**6 if joined else 0)
    monkeypatch.setattr(mlp.jax, "default_backend", lambda: backend)
    learned = adafac_mlp(hidden)
    theta, (params, gradients) = _random(2, learned), _some(*names)
    bind = partial(learned.bind, compact=False)
    found, state = readings.trained(bind, theta, params, gradients)
    expected = readings.read(_reading(theta), params, gradients)
    readings.same(found, expected, unit=0.001, tolerance=1e-4)
    assert state.count == STEPS


def test_decays_begin_as_published_and_stay_in_range():
    theta, decays = _zeros()["decays"], quick_jit(learned_decays)
    for found, expected in zip(decays(theta), PUBLISHED, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    for offset, end in ((5.0, 0.0), (-5.0, 1.0)):
        found = decays(jax.tree.map(lambda leaf, by=offset: leaf + by, theta))
        assert [float(d) for d in jax.tree.leaves(found)] == [end] * 7


@pytest.mark.parametrize(
    ("hidden", "layers", "expected"), [(4, 2, 197), (32, 2, 2409), (4, 1, 177)]
)
def test_the_number_of_weights(hidden, layers, expected):
    found = count(readings.shapes_of_weights(adafac_mlp(hidden, layers)))
    others = (layers - 1) * hidden * (hidden + 1)
    assert found == expected == hidden * (39 + 1) + others + 2 * (hidden + 1) + 7


# ---------------------------------------------------------------- the compact state


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_compact_updates_are_nearly_the_same(dtype):
    theta = _random(2)
    params, gradients = (
        jax.tree.map(lambda x: jnp.asarray(x, dtype), tree) for tree in _some("tall")
    )
    found, _ = readings.trained(LEARNED.bind, theta, params, gradients)
    assert found["tall"].dtype == dtype
    params, gradients, found = jax.tree.map(np.float32, (params, gradients, found))
    expected = readings.read(_reading(theta), params, gradients)
    readings.same(found, expected, unit=0.001, tolerance=0.05)


def test_bytes_of_its_state():
    params = {"w": jnp.zeros((256, 512))}
    adam = state_bytes(optax.adam(0.1), params)
    assert state_bytes(LEARNED.bind(_zeros(), compact=True), params) <= 1.5 * adam
    assert state_bytes(LEARNED.bind(_zeros(), compact=False), params) <= 2.5 * adam


_DRAW = np.random.default_rng(0)
_SIZES = 0.5 + _DRAW.random((16, 16))
STREAMS = {
    "constant": np.broadcast_to(_SIZES, (1500, 16, 16)),
    "signs": _DRAW.choice([-1, 1], (1500, 16, 16)) * _SIZES,
    "normal": _DRAW.normal(size=(1500, 16, 16)) * _SIZES,
    "sparse": (_DRAW.random((1500, 16, 16)) < 0.05) * _SIZES,
    # Of a unit that gets none any more.
    "silent": np.concatenate([np.broadcast_to(_SIZES, (1, 16, 16)), np.zeros((1499, 16, 16))]),
}


@pytest.fixture(scope="module")
def squares():
    """v of the compact state after 1,500 gradients of each kind."""
    gradients = {"w": np.stack(list(STREAMS.values()), axis=1).astype(np.float32)}
    params = {"w": np.zeros((len(STREAMS), 16, 16), np.float32)}
    _, state = readings.trained(LEARNED.bind, _zeros(), params, gradients)
    (acc,) = state.acc
    assert acc.v.dtype == jnp.bfloat16
    return dict(zip(STREAMS, np.asarray(acc.v[0], np.float64), strict=True))


@pytest.mark.parametrize("stream", STREAMS)
def test_compact_squares_are_right_on_average(stream, squares):
    """An average of squares in bfloat16 goes where that in float32 goes, whatever the gradients."""
    weights = 0.001 * 0.999 ** np.arange(1500)[::-1]
    ratio = squares[stream] / np.tensordot(weights, np.square(STREAMS[stream]), axes=1)
    np.testing.assert_allclose(ratio.mean(), 1, atol=0.02)
    np.testing.assert_allclose(ratio, 1, atol=0.25)


# ---------------------------------------------------------------- as meta-training runs it


def test_many_weights_at_once():
    seeds, (params, gradients) = (2, 3), _some("tall")
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(_random, seeds))

    @quick_jit
    @jax.vmap
    def first(theta):
        optimizer = LEARNED.bind(theta, compact=False)
        return optimizer.update({"tall": gradients["tall"][0]}, optimizer.init(params), params)[0]

    found = first(stacked)["tall"]
    for row, seed in zip(found, seeds, strict=True):
        expected = readings.read(_reading(_random(seed)), params, {"tall": gradients["tall"][:1]})
        readings.same({"tall": row[None]}, expected, unit=0.001, tolerance=1e-4)


def test_it_asks_for_parameters():
    optimizer = LEARNED.bind(_zeros())
    with pytest.raises(ValueError, match="adafac_mlp/1 sees the parameters"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))
