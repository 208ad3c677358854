"""Optimizers by name, rule and file, and the settings they may try."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt.baselines.baseline import DECADES
from metaopt.learned import adafac_mlp, celo, checkpoint
from metaopt.rules import library, to_source
from search.bench.contenders import find, trials
from search.errors import UserError

KNOWN = ("adamw", "lion", "momentum_sgd", "muon", "ttur", "wsd", "normalized_sgd")


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("tuning", ["grid", "random"])
def test_trials_are_traced_and_the_same_each_time(name, tuning):
    contender = find(name)
    low, high = contender.space["learning_rate"]
    assert np.log10(high / low) == pytest.approx(DECADES)
    found = trials(contender, 3, tuning)
    again = trials(contender, 3, tuning)
    assert next(iter(found)) == "learning_rate"
    assert set(found) == ({"learning_rate"} if tuning == "grid" else set(contender.space))
    for key, values in found.items():
        low, high = contender.space[key]
        assert ((values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))).all()
        np.testing.assert_array_equal(values, again[key])
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}

    def updated(scalars):
        rate, others = scalars["learning_rate"], dict(scalars)
        del others["learning_rate"]
        optimizer = contender.optimizer(lambda _: rate, 100, **others)
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        return optax.apply_updates(params, updates)

    scalars = {key: jnp.asarray(values, jnp.float32) for key, values in found.items()}
    after = jax.vmap(updated)(scalars)
    assert after["w"].shape == (3, 2, 2)
    assert len(np.unique(after["w"][:, 0, 0])) == 3


def test_a_single_trial_is_in_the_middle_of_the_grid():
    low, high = find("adamw").space["learning_rate"]
    (rate,) = trials(find("adamw"), 1, "grid")["learning_rate"]
    assert rate == pytest.approx(np.sqrt(low * high))
    # Of any other odd number, the middle one is the same.
    assert rate == pytest.approx(trials(find("adamw"), 3, "grid")["learning_rate"][1])


def test_random_draws_fill_the_space_log_uniformly():
    drawn = trials(find("adamw"), 4000, "random")
    for key, (low, high) in find("adamw").space.items():
        quarters = np.histogram(np.log(drawn[key]), 4, (np.log(low), np.log(high)))[0]
        assert quarters.min() > 900


def test_adam_with_l2_is_adam_on_the_regularized_loss():
    params = {"w": jnp.array([1.0, -2.0])}
    gradient = {"w": jnp.array([0.5, 0.1])}
    ours, adam = find("adam_l2").build(0.1, weight_decay=0.3), optax.adam(0.1)
    total = {"w": gradient["w"] + 0.3 * params["w"]}
    expected, _ = adam.update(total, adam.init(params), params)
    found, _ = ours.update(gradient, ours.init(params), params)
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-6)


def test_rules_released_and_from_files(tmp_path):
    released = find("normalized_sgd")
    assert released.name == "normalized_sgd"
    path = tmp_path / "mine.rule"
    path.write_text(str(library.get("lion")))
    assert find(str(path)).name == "mine"
    params = {"w": jnp.ones(3)}
    optimizer = find(str(path)).build(0.1)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert updates["w"].shape == (3,)


def test_exported_source_is_a_contender(tmp_path):
    path = tmp_path / "my_lion.py"
    path.write_text(to_source(library.get("lion"), name="my_lion", learning_rate=1e-3))
    found = find(str(path))
    assert found.name == "my_lion"
    low, high = found.space["learning_rate"]
    assert low < 1e-3 < high


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        ("x = 1", "must define a function opt"),
        ("def opt(rate): ...", "first argument of opt must be learning_rate"),
        ("1 / 0", "fails: ZeroDivisionError"),
    ],
)
def test_files_that_are_no_optimizers(tmp_path, content, message):
    path = tmp_path / "opt.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        find(str(path))


@pytest.fixture
def written(tmp_path):
    """(network) -> the file of its untrained weights."""

    def write(learned):
        path = tmp_path / "mine.safetensors"
        checkpoint.write(path, learned, learned.init(jax.random.key(0)), {})
        return path

    return write


def test_a_learned_optimizer_is_told_the_length_and_no_rate(written):
    learned = celo(hidden=4, units=2, layers=1)
    found = find(str(written(learned)))
    assert (found.name, found.timed) == ("mine", "traced")
    params = {"w": jnp.ones(3)}

    def updated(optimizer):
        state = optimizer.init(params)
        for _ in range(2):  # at the first, none of the training is over
            updates, state = optimizer.update(params, state, params, value=jnp.float32(2.0))
        return updates["w"]

    expected = updated(learned.bind(learned.init(jax.random.key(0)), num_steps=50))
    for rate in (np.nan, lambda count: 0.1 * count):
        np.testing.assert_array_equal(updated(found.optimizer(rate, 50)), expected)
    assert not np.array_equal(updated(found.optimizer(np.nan, 5)), expected)


@pytest.mark.parametrize("tuning", ["grid", "random"])
def test_a_learned_optimizer_has_a_single_trial(written, tuning):
    found = find(str(written(adafac_mlp(hidden=2, layers=1))))
    assert found.timed == "no"
    (only,) = trials(found, 10, tuning).items()
    assert only[0] == "learning_rate"
    np.testing.assert_array_equal(only[1], [np.nan])


def test_weights_that_cannot_be_used(written):
    path = written(adafac_mlp(hidden=2, layers=1))
    with pytest.raises(UserError, match="there are no weights"):
        find(str(path.with_name("absent.safetensors")))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        find(str(path))
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match="there is no card"):
        find(str(path))


def test_an_unknown_name_says_what_is_known():
    with pytest.raises(UserError, match=r"no optimizer 'adamww'.*did you mean adamw"):
        find("adamww")
