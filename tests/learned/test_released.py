"""`metaopt.load` of learned optimizers: by name, from files, and what it refuses."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import metaopt
from metaopt.learned import adafac_mlp, celo, checkpoint, released
from metaopt.learned.checkpoint import CheckpointError
from metaopt.loading import card

LEARNED = celo(hidden=4, units=2, layers=1)
PARAMS = {"kernel": jnp.arange(6.0).reshape(2, 3) / 7, "bias": jnp.float32(0.5)}
GRADIENT = jax.tree.map(lambda x: jnp.sin(3 * x) - 0.2, PARAMS)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Weights that need the length of the training."""
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    checkpoint.write(path, LEARNED, LEARNED.init(jax.random.key(0)), {"name": "mine"})
    return path


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """Weights that need nothing."""
    learned = adafac_mlp(hidden=2, layers=1)
    path = tmp_path_factory.mktemp("weights") / "free.safetensors"
    checkpoint.write(path, learned, learned.init(jax.random.key(0)), {})
    return path


def steps(optimizer, count=2):
    state, found = optimizer.init(PARAMS), []
    for _ in range(count):
        updates, state = optimizer.update(GRADIENT, state, PARAMS, value=jnp.float32(1.0))
        found.append(updates)
    return found


@pytest.mark.parametrize("form", [str, lambda path: path])
def test_a_file_is_the_network_bound_with_its_weights(mine, form):
    found = metaopt.load(form(mine), num_steps=20)
    assert isinstance(found, optax.GradientTransformationExtraArgs)
    expected = LEARNED.bind(LEARNED.init(jax.random.key(0)), num_steps=20)
    jax.tree.map(np.testing.assert_array_equal, steps(found), steps(expected))


def test_moving_averages_may_be_kept_whole(free):
    small, whole = (metaopt.load(free, compact=c).init(PARAMS) for c in (True, False))
    kinds = [{leaf.dtype for leaf in jax.tree.leaves(state.acc)} for state in (small, whole)]
    assert jnp.dtype(jnp.bfloat16) in kinds[0]
    assert kinds[1] == {jnp.dtype(jnp.float32)}


def test_who_needs_no_length_takes_one_all_the_same(free):
    assert steps(metaopt.load(free))
    assert steps(metaopt.load(free, num_steps=10))


def test_released_ones_are_known_by_name():
    assert set(released.names()) <= set(metaopt.names())
    assert not set(released.names()) & set(metaopt.rule_names())
    for name in released.names():
        about = card(name)
        assert about["contract"]
        json.dumps(about, allow_nan=False)
        for updates in steps(metaopt.load(name, num_steps=100)):
            assert all(jnp.all(jnp.isfinite(u)) for u in jax.tree.leaves(updates)), name


# ---------------------------------------------------------------- what is refused


def test_a_learning_rate(mine):
    for rate in (0.1, optax.constant_schedule(0.1)):
        with pytest.raises(TypeError, match="needs no learning_rate"):
            metaopt.load(mine, learning_rate=rate, num_steps=20)


def test_no_length_where_one_is_needed(mine):
    with pytest.raises(TypeError, match=r"pass num_steps=\.\.\."):
        metaopt.load(mine)
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        metaopt.load(mine, num_steps=0)


def test_hyperparameters_of_others(mine):
    with pytest.raises(TypeError, match=r"no 'weight_decay'.* num_steps and compact"):
        metaopt.load(mine, num_steps=20, weight_decay=0.1)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no weights .*absent"):
        metaopt.load(tmp_path / "absent.safetensors", num_steps=20)


def test_no_card_or_damage(mine, tmp_path):
    path = tmp_path / "copy.safetensors"
    path.write_bytes(mine.read_bytes())
    with pytest.raises(FileNotFoundError, match="there is no card"):
        metaopt.load(path, num_steps=20)
    path.with_suffix(".json").write_bytes(mine.with_suffix(".json").read_bytes())
    metaopt.load(path, num_steps=20)
    path.write_bytes(mine.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="damaged"):
        metaopt.load(path, num_steps=20)
    path.with_suffix(".json").write_text('{"contract": "celo/99", "sizes": {}}')
    with pytest.raises(CheckpointError, match="under the contract 'celo/99'"):
        metaopt.load(path, num_steps=20)


def test_names_that_are_near():
    for name in released.names():
        with pytest.raises(KeyError, match=f"did you mean .*{name}"):
            metaopt.load(name.replace("_", ""), num_steps=20)
        with pytest.raises(KeyError, match=f"did you mean .*{name}"):
            card(name.replace("_", ""))
        with pytest.raises(KeyError, match="is an optimizer, but no rule"):
            metaopt.find(name)


def test_safetensors_are_read_only_when_there_are_some():
    code = "import sys, metaopt; metaopt.names(); sys.exit('safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
