"""Tensors as matrices, against the singular value decomposition."""

import jax.numpy as jnp
import numpy as np
import pytest

from metaopt.learned.orthogonal import matrix_shape, orthogonal


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 3, 16, 32), (144, 32)),
        ((32, 16, 3, 3), (32, 144)),
        ((64, 4, 16), (64, 64)),
        ((4, 16, 64), (64, 64)),
        ((5, 7), (5, 7)),
        ((1, 5, 1), None),
        ((9, 1), None),
        ((9,), None),
        ((), None),
    ],
)
def test_the_matrix_that_a_tensor_is(shape, expected):
    assert matrix_shape(shape) == expected


def test_all_singular_values_become_about_one():
    rng = np.random.default_rng(0)
    shapes = [(6, 9), (9, 6), (3, 3, 6), (4, 2, 8), (6, 9)]
    tensors = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    stacks = [jnp.stack([x, 2 * x[::-1]]) for x in tensors]
    found = [x[0] for x in orthogonal(stacks)]
    assert [x.shape for x in found] == shapes
    for x, o in zip(tensors, found, strict=True):
        rows, columns = matrix_shape(x.shape)
        u, _, vt = np.linalg.svd(np.asarray(x).reshape(rows, columns), full_matrices=False)
        inside = u.T @ np.asarray(o).reshape(rows, columns) @ vt.T / np.sqrt(max(rows, columns))
        np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-4)
        assert np.diag(inside).min() > 0.6
        assert np.diag(inside).max() < 1.25
    # Whatever else is computed with it.
    np.testing.assert_allclose(orthogonal([tensors[1][None]])[0][0], found[1], atol=1e-5)


def test_zeros_stay_zeros():
    (found,) = orthogonal([jnp.zeros((2, 3, 4))])
    assert not np.any(found)
