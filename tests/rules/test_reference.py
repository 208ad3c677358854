"""The reference against results worked out by hand."""

import numpy as np
import pytest

from metaopt.rules import parse
from metaopt.rules.ops import OPS
from metaopt.rules.reference import run

W = [np.array([1.0, -2.0]), np.array(3.0)]
G = [np.array([3.0, 4.0]), np.array(12.0)]


def update(text, **kwargs):
    program = parse(f"def f(w, g, lr):\n  {text}\n  return u")
    return run(program, W, G, {}, 0.5, 1, **kwargs)[0]


def test_reductions_see_scalars_as_full_tensors():
    norm = update("u = norm(lr)")
    np.testing.assert_allclose(norm[0], np.full(2, np.sqrt(2) * 0.5))
    np.testing.assert_allclose(norm[1], 0.5)
    np.testing.assert_allclose(update("u = dot(1, 2)")[0], np.full(2, 6.0))


def test_norm_is_per_tensor_and_global_norm_of_the_model():
    assert [x.flat[0] for x in update("u = norm(g)")] == [5.0, 12.0]
    assert [x.flat[0] for x in update("u = global_norm(g)")] == [13.0, 13.0]


def test_clip_rescales_to_the_norm():
    clipped = update("u = clip_by_global_norm(g, 6.5)")
    np.testing.assert_allclose(clipped[0], [1.5, 2.0])
    np.testing.assert_allclose(clipped[1], 6.0)


def test_guards():
    np.testing.assert_allclose(update("u = g / 0")[0], G[0] / 1e-8)
    assert np.all(np.isfinite(update("u = sqrt(w)")[0]))
    assert np.all(np.isinf(update("u = reciprocal(0)")[0]))


def test_every_operation_runs_on_every_extent():
    for name, op in OPS.items():
        args = ["g", "w", "lr"][: op.arity]
        for scalar in op.scalar_args:
            args[scalar] = "lr"
        call = f"{args[0]} {name} {args[1]}" if op.infix else f"{name}({', '.join(args)})"
        assert [np.shape(x) for x in update(f"u = {call}")] == [(2,), ()]


def test_states_and_step():
    program = parse(
        "def f(w, g, m, lr, t, c=2):\n  m = m + g\n  u = t * m\n  u = u * c\n  return u, m"
    )
    update_, states = run(program, W, G, {"m": G}, 0.1, 3)
    np.testing.assert_allclose(update_[0], 12 * G[0])
    np.testing.assert_allclose(states["m"][0], 2 * G[0])
    update_, _ = run(program, W, G, {"m": G}, 0.1, 3, {"c": 1.0})
    np.testing.assert_allclose(update_[0], 6 * G[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_the_dtype_is_kept(dtype):
    assert all(x.dtype == dtype for x in update("u = cosine_sim(g, w)", dtype=dtype))


def test_a_model_without_parameters():
    program = parse("def f(w, g, lr):\n  u = clip_by_global_norm(g, 1)\n  return u")
    assert run(program, [], [], {}, 0.1, 1) == ([], {})
