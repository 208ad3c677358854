"""Trainings that were cut short go on where they were, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from search.bench import unfinished
from search.bench.contenders import Contender, Range, find
from search.bench.engine import Group, Stopped, train
from search.bench.unfinished import Unfinished
from tasks.families.quadratic import Quadratic

TASK = Quadratic(shapes=((4, 3), (3,)), condition_number=30.0, noise=0.1).build()
NOISY = Contender("noisy", find("gradient_noise").build, {"learning_rate": Range(0.01, 0.1)})
GROUPS = [
    Group(find("adamw"), "cosine", {"learning_rate": np.array([0.01, 0.1])}),
    Group(NOISY, "constant", {"learning_rate": np.array([0.02])}),
]
OPTIONS = {"seeds": [0, 1], "interval": 4, "points": [3, 5]}


def _leaves(trained):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained)]


@pytest.fixture(scope="module")
def whole():
    return train(TASK, GROUPS, **OPTIONS)


@pytest.mark.parametrize("asked", [2, 5])
def test_a_stop_loses_nothing(tmp_path, whole, asked):
    calls = iter(range(100))
    with pytest.raises(Stopped):
        train(TASK, GROUPS, **OPTIONS, stop=lambda: next(calls) == asked, unfinished=tmp_path)
    assert list(tmp_path.rglob("*.npz"))
    steps = iter(range(100))
    again = train(TASK, GROUPS, **OPTIONS, stop=lambda: next(steps) > 100, unfinished=tmp_path)
    for a, b in zip(_leaves(again), _leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_kept_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "_SECONDS", 0.0)
    monkeypatch.setattr(unfinished, "_SHARE", 1e9)
    train(TASK, GROUPS, **OPTIONS, unfinished=tmp_path)
    ((_, done),) = [(path, np.load(path)) for path in tmp_path.rglob("length_5.npz")]
    counts = [done[name] for name in done.files if done[name].shape == ()]
    assert 4 in counts  # before the last interval


def test_every_dtype_comes_back(tmp_path):
    tree = {
        "key": jax.random.split(jax.random.key(3), 2),
        "brain": jnp.array([1.5, -2.0], jnp.bfloat16),
        "eighth": jnp.array([0.5], jnp.float8_e4m3fn),
        "count": jnp.int32(3),
        "whole": np.arange(3),
    }
    file = Unfinished(tmp_path / "a" / "b.npz")
    file.keep(tree)
    blank = jax.tree.map(lambda leaf: leaf, tree) | {"count": jnp.int32(0)}
    found = file.load(blank)
    for name, leaf in tree.items():
        assert found[name].dtype == leaf.dtype
        assert (found[name] == leaf).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", "other shapes"])
def test_a_file_of_no_use_is_passed_over(tmp_path, content):
    path, tree = tmp_path / "x.npz", {"a": np.zeros(3)}
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Unfinished(path).keep({"a": np.ones(4)})
    assert Unfinished(path).load(tree) is tree


def test_without_a_path_nothing_is_kept():
    file = Unfinished(None)
    file.keep({"a": np.zeros(3)})
    assert not file.due()
    assert file.load(1.0) == 1.0
