import importlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import metaopt
from metaopt import rules
from metaopt.loading import card, with_rate

LION = rules.library.get("lion")
PARAMS = {"kernel": jnp.arange(6.0).reshape(2, 3) / 7, "bias": jnp.float32(0.5)}
GRADIENT = jax.tree.map(lambda x: jnp.sin(3 * x) - 0.2, PARAMS)


def test_a_name_gives_the_rule():
    ours, theirs = metaopt.load("lion", learning_rate=0.01, b1=0.8), optax.lion(0.01, b1=0.8)
    ours_state, theirs_state = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(3):
        a, ours_state = ours.update(GRADIENT, ours_state, PARAMS)
        b, theirs_state = theirs.update(GRADIENT, theirs_state, PARAMS)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)


def test_every_name_loads_and_steps():
    assert set(rules.library.names()) < set(metaopt.rule_names()) < set(metaopt.names())
    for name in metaopt.rule_names():
        optimizer = metaopt.load(name, learning_rate=1e-3)
        updates, _ = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
        assert all(jnp.all(jnp.isfinite(u)) for u in jax.tree.leaves(updates)), name


@pytest.fixture(scope="module")
def released():
    names = [n for n in metaopt.rule_names() if n not in rules.library.names()]
    assert names
    return names


def test_released_rules_have_cards_and_a_default_learning_rate(released):
    for name in released:
        about = card(name)
        assert about["name"] == name
        assert about["verdict"]["rows"]
        program, rate = metaopt.find(name)
        assert rate == about["learning_rate"] > 0
        assert program.name == name
        default, explicit = metaopt.load(name), metaopt.load(name, rate)
        a, _ = default.update(GRADIENT, default.init(PARAMS), PARAMS)
        b, _ = explicit.update(GRADIENT, explicit.init(PARAMS), PARAMS)
        jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_rule_file(tmp_path):
    path = tmp_path / "mine.rule"
    path.write_text(str(LION))
    optimizer = metaopt.load(path, learning_rate=optax.constant_schedule(0.1))
    updates, _ = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    np.testing.assert_allclose(jnp.abs(updates["bias"] + 0.1 * 0.001 * 0.5), 0.1, rtol=1e-6)


def test_a_campaign_stands_for_its_winner_then_for_its_best(tmp_path):
    with pytest.raises(FileNotFoundError, match="is it a campaign"):
        metaopt.load(tmp_path)
    (tmp_path / "best.rule").write_text("def rule(w, g, lr):\n  u = lr * g\n  return u\n")
    assert metaopt.find(tmp_path)[0].body[0].op == "*"
    (tmp_path / "winner.rule").write_text("def rule(w, g, lr):\n  u = lr + g\n  return u\n")
    program, rate = metaopt.find(tmp_path)
    assert (program.body[0].op, rate) == ("+", 1.0)


def test_errors_name_what_is_near():
    with pytest.raises(KeyError, match="did you mean lion"):
        metaopt.load("lyon", 0.1)
    with pytest.raises(FileNotFoundError, match="no rule file"):
        metaopt.load("nowhere/lion.rule", 0.1)
    with pytest.raises(TypeError, match="no default learning rate"):
        metaopt.load("lion")
    with pytest.raises(TypeError, match="weight_decay"):
        metaopt.load("lion", 0.1, weight_decy=0.1)


def test_a_campaigns_rule_has_the_rate_that_it_was_found_with(tmp_path):
    text = "def rule(w, g, lr):\n  u = lr * g\n  return u\n"
    assert with_rate(text, 1.0) == text
    for rate in (0.5, 1e-05, 2.5e-07, 16.0):
        (tmp_path / "best.rule").write_text(with_rate(text, rate))
        assert metaopt.find(tmp_path)[1] == rate
    updates, _ = metaopt.load(tmp_path).update({"x": 1.0}, metaopt.load(tmp_path).init({}))
    assert updates["x"] == -16.0


def test_a_known_name_comes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lion", "adan"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.rule").write_text(str(rules.library.get("sgd")))
    assert metaopt.find("lion")[0].name == "lion"
    assert metaopt.load("adan", 0.1).init(PARAMS)
    assert metaopt.find("./lion")[0].name == metaopt.find(Path("lion"))[0].name == "sgd"
    with pytest.raises(KeyError, match=r"no rule.*is \./adan"):
        metaopt.find("adan")


def test_hyperparameters_can_be_injected_into_whatever_is_loaded():
    inject = optax.inject_hyperparams(metaopt.load)
    for name, given in (("lion", {"b1": 0.8}), ("adan", {"weight_decay": 0.1})):
        injected, plain = inject(name, 0.1, **given), metaopt.load(name, 0.1, **given)
        a, _ = injected.update(GRADIENT, injected.init(PARAMS), PARAMS)
        b, _ = plain.update(GRADIENT, plain.init(PARAMS), PARAMS)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)
    learned = inject("celo_v4", num_steps=10)
    assert learned.init(PARAMS) is not None


def test_wrong_hyperparameters_of_baselines_are_named():
    with pytest.raises(TypeError, match="'adan' has no hyperparameter 'weight_decy'; did you mean"):
        metaopt.load("adan", 0.1, weight_decy=0.1)
    with pytest.raises(TypeError, match="'sgd_sai' has no hyperparameter 'zzz'; it has"):
        metaopt.load("sgd_sai", 0.1, zzz=1)
    with pytest.raises(TypeError, match="'ranger21' needs num_steps: pass num_steps="):
        metaopt.load("ranger21", 0.1)


def test_the_folder_of_a_meta_training_is_told_apart(tmp_path):
    (tmp_path / "meta.sqlite").touch()
    for take in (metaopt.load, metaopt.find):
        with pytest.raises(FileNotFoundError, match=r"is a meta-training.*meta-train export"):
            take(tmp_path)


def test_a_hostile_file_is_refused(tmp_path):
    path = tmp_path / "hostile.rule"
    path.write_text("import os\ndef rule(w, g, lr):\n  u = lr * g\n  return u\n")
    with pytest.raises(rules.RuleError, match="exactly one function"):
        metaopt.load(path, 0.1)
    path.write_bytes(b"\xff\xfe" * 100)
    with pytest.raises(rules.RuleError, match="UTF-8"):
        metaopt.load(path, 0.1)
    path.write_text("#" * 1_000_000)
    with pytest.raises(rules.RuleError, match="bytes"):
        metaopt.load(path, 0.1)


def test_cards_are_plain_json(released):
    folder = Path(__file__).parents[1] / "checkpoints" / "rules"
    for name in released:
        json.loads((folder / f"{name}.json").read_text(), parse_constant=pytest.fail)


def test_a_loaded_rule_trains_an_nnx_model(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    example = importlib.import_module("experiments.train_nnx")
    try:
        jax.config.update("jax_numpy_rank_promotion", "allow")  # flax's own LayerNorm broadcasts
        assert example.train(metaopt.load("lion", learning_rate=2e-3), steps=150) > 0.9
        # A baseline, one that wants the length, a released rule, one that looks at the loss.
        for name in ("adan", "adamwr", "normalized_sgd", "celo_v4"):
            assert 0 <= example.train(example.loaded(name, None, 20), steps=2) <= 1
    finally:
        jax.config.update("jax_numpy_rank_promotion", "raise")
        sys.modules.pop("experiments.train_nnx", None)
