"""Language models: windows, and who may see what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks import data
from tasks.families.transformer import TextTransformer, Transformer
from tasks.language import even_windows


@pytest.mark.parametrize("name", ["kjv_mlp_c8_e16_h64_b32", "kjv_transformer_l1_w64_h4_c32_b16"])
def test_batches_are_windows_of_the_training_text(name):
    train = data.king_james().train.tobytes()
    inputs, labels = map(np.asarray, tasks.get(name).batch(jax.random.key(0)))
    assert inputs.dtype == labels.dtype == np.int32
    if labels.ndim == 1:
        windows = np.concatenate([inputs, labels[:, None]], axis=1)
    else:
        windows = np.concatenate([inputs, labels[:, -1:]], axis=1)
        np.testing.assert_array_equal(inputs[:, 1:], labels[:, :-1])
    assert all(window.astype(np.uint8).tobytes() in train for window in windows)


def test_even_windows():
    windows = even_windows(np.arange(11, dtype=np.uint8), length=3, count=3)
    assert windows.tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]
    assert windows.dtype == np.int32


def test_the_transformer_sees_no_later_byte():
    network = Transformer(vocabulary=5, layers=1, width=8, heads=2)
    tokens = jnp.array([[0, 1, 2, 3, 4, 0]])
    params = jax.jit(network.init)(jax.random.key(0), tokens)
    apply = jax.jit(network.apply)
    before = np.asarray(apply(params, tokens))
    after = np.asarray(apply(params, tokens.at[0, 3].set(0)))
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert (np.abs(before[:, 3:] - after[:, 3:]).max(axis=-1) > 1e-6).all()


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads 3"):
        TextTransformer(width=64, heads=3)
