"""Storage in few bits, against plain numpy."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from baseline_checks.quantized import dynamic_numbers, in_blocks, nearest

from metaopt import baselines
from metaopt.baselines.memory import state_bytes
from metaopt.baselines.shared.quantization import (
    DYNAMIC,
    E4M3,
    E5M2,
    LINEAR,
    UNSIGNED_DYNAMIC,
    Quantized,
    Storage,
    dynamic_map,
    from_nibbles,
    to_nibbles,
    with_stored_moments,
)

SHAPES = [(), (1,), (7,), (8,), (5, 5), (3, 2, 4)]


def _random(shape, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=shape) * 10 ** draw.uniform(-3, 1, size=shape)


def _round_trip(storage, x):
    x = jnp.asarray(x, jnp.float32)
    return np.asarray(storage.load(storage.store(x, x.dtype), x.dtype))


@pytest.mark.parametrize("signed", [True, False])
def test_the_dynamic_map_is_the_papers(signed):
    table = dynamic_map(signed=signed)
    np.testing.assert_allclose(table, dynamic_numbers(signed=signed), rtol=1e-6)
    assert len(np.unique(table)) == 256
    assert table[-1] == 1
    assert 0 in table
    assert (table < 0).sum() == (127 if signed else 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("number_format", "numbers"),
    [
        (DYNAMIC, dynamic_numbers(signed=True)),
        (UNSIGNED_DYNAMIC, dynamic_numbers(signed=False)),
        (LINEAR, np.arange(-127, 128) / 127),
        (E4M3, np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(float) / 448),
        (E5M2, np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e5m2).astype(float) / 57344),
    ],
    ids=["dynamic", "unsigned", "linear", "e4m3", "e5m2"],
)
def test_every_number_becomes_the_nearest_one(shape, number_format, numbers):
    numbers = np.sort(numbers[np.isfinite(numbers)])
    x = _random(shape)
    x = abs(x) if (numbers >= 0).all() else x
    found = _round_trip(Storage(number_format, block_size=8), x)
    expected = in_blocks(np.asarray(x, np.float32).astype(float), 8, nearest(numbers))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_an_outlier_costs_the_precision_of_its_block_alone():
    x = _random(64)
    with_outlier = x.copy()
    with_outlier[3] = 1e6
    storage = Storage(LINEAR, block_size=16)
    found = _round_trip(storage, with_outlier)
    np.testing.assert_array_equal(found[16:], _round_trip(storage, x)[16:])
    assert (found[4:16] == 0).all()


@pytest.mark.parametrize("number_format", [DYNAMIC, UNSIGNED_DYNAMIC, LINEAR, E4M3, E5M2])
def test_zeros_stay_zeros(number_format):
    assert (_round_trip(Storage(number_format, block_size=4), np.zeros(10)) == 0).all()


def test_what_is_stored():
    storage = Storage(DYNAMIC, block_size=8, min_size=20)
    large = storage.store(jnp.ones((5, 5), jnp.bfloat16), jnp.bfloat16)
    assert isinstance(large, Quantized)
    assert large.codes.dtype == jnp.uint8
    assert large.codes.shape == (5, 5)
    assert large.scales.dtype == jnp.float32
    assert large.scales.shape == (4,)
    assert storage.load(large, jnp.bfloat16).dtype == jnp.bfloat16
    small = storage.store(jnp.ones(19), jnp.bfloat16)
    assert small.dtype == jnp.bfloat16
    empty = Storage(DYNAMIC).store(jnp.zeros((0, 3)), jnp.float32)
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 21])
def test_four_bits(size):
    x = _random(size).astype(np.float32)
    stored = to_nibbles(jnp.asarray(x), 8)
    assert stored.codes.shape == (-(-size // 2),)
    assert stored.codes.dtype == jnp.uint8
    found = np.asarray(from_nibbles(stored, size, 8, jnp.float32))
    for i in range(0, size, 8):
        block = x[i : i + 8]
        ends = block.min().astype(ml_dtypes.bfloat16), block.max().astype(ml_dtypes.bfloat16)
        grid = np.linspace(*(float(end) for end in ends), 16)
        expected = grid[abs(block[:, None] - grid).argmin(1)]
        np.testing.assert_allclose(found[i : i + 8], expected, rtol=1e-5, atol=1e-6)


def test_four_bits_of_a_constant_and_of_nothing():
    stored = to_nibbles(jnp.full(5, 0.5), 4)
    np.testing.assert_array_equal(from_nibbles(stored, 5, 4, jnp.float32), np.full(5, 0.5))
    assert from_nibbles(to_nibbles(jnp.zeros(0), 4), 0, 4, jnp.float32).shape == (0,)


def test_small_arrays_are_trained_as_by_the_plain_optimizer():
    params = {"w": jnp.asarray(_random((4, 3)), jnp.float32)}
    gradients = {"w": jnp.asarray(_random((4, 3), 1), jnp.float32)}
    storages = {"mu": Storage(DYNAMIC, min_size=13), "nu": Storage(DYNAMIC, min_size=13)}
    plain, stored = optax.scale_by_adam(), with_stored_moments(optax.scale_by_adam(), storages)
    states = plain.init(params), stored.init(params)
    for _ in range(3):
        expected, first = plain.update(gradients, states[0])
        found, second = stored.update(gradients, states[1])
        states = first, second
        jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(("name", "bytes_each"), [("adam_8bit", 2), ("momentum_8bit", 1)])
def test_a_large_parameter_takes_a_byte_for_each_moment(name, bytes_each):
    size = 2048 * 100
    params = {"kernel": jax.ShapeDtypeStruct((size,), jnp.float32)}
    found = state_bytes(getattr(baselines, name)(0.1), params)
    assert bytes_each * size <= found < 1.01 * bytes_each * size
