"""The Haar transform against a plain reading of it."""

import jax.numpy as jnp
import numpy as np
import pytest

from metaopt.baselines.shared.wavelets import haar, inverse_haar

LENGTHS = [1, 2, 3, 5, 8, 11, 16]
LEVELS = [0, 1, 2, 4]


def _plain(x, level):
    """Row by row, pair by pair."""
    details = []
    for _ in range(level):
        x = [*x, 0.0] if len(x) % 2 else list(x)
        pairs = list(zip(x[::2], x[1::2], strict=True))
        details.insert(0, [(a - b) / np.sqrt(2) for a, b in pairs])
        x = [(a + b) / np.sqrt(2) for a, b in pairs]
    return [list(x), *details]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("level", LEVELS)
def test_it_is_sums_and_differences(length, level):
    x = np.random.default_rng(0).normal(size=(3, length)).astype(np.float32)
    found = haar(jnp.asarray(x), level)
    assert len(found) == level + 1
    for row in range(3):
        for part, expected in zip(found, _plain(x[row], level), strict=True):
            np.testing.assert_allclose(part[row], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_inverse_gives_back_what_was_transformed(length, level):
    x = np.random.default_rng(1).normal(size=(2, 3, length)).astype(np.float32)
    found = inverse_haar(haar(jnp.asarray(x), level), length)
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_it_is_orthonormal(level):
    matrix = np.concatenate(haar(jnp.eye(8), level), axis=1)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-6)


def test_a_constant_has_no_details():
    approximation, *details = haar(jnp.full((2, 8), 3.0), 3)
    np.testing.assert_allclose(approximation, 3 * np.sqrt(8), rtol=1e-6)
    assert all(np.abs(d).max() < 1e-6 for d in details)


def test_the_dtype_is_kept():
    parts = haar(jnp.ones((2, 5), jnp.bfloat16), 2)
    assert {part.dtype for part in parts} == {jnp.dtype(jnp.bfloat16)}
    assert inverse_haar(parts, 5).dtype == jnp.bfloat16
