"""Byte-level language models of the King James Bible: a feed-forward one, a small Transformer.

The loss is the mean cross-entropy in nats a byte. Held-out sets are windows at even distances over
the validation or test part of the text.
"""

from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Batch, Task
from tasks.data import Array, Corpus, Examples
from tasks.supervised import frequency_loss, supervised_task

# The standard error of a held-out loss is then about 1%; a search evaluates as often as it trains.
_EVALUATED_BYTES = 4096


@dataclass(frozen=True)
class TextMLP:
    """A neural probabilistic language model: the next byte from the `context` bytes before it.

    Embeddings of the context are laid end to end, and pass one tanh layer.

    Reference: Bengio, Ducharme, Vincent, Jauvin, "A neural probabilistic language model", JMLR 2003
    (without its direct connections from embeddings to output).

    Attributes:
      context: bytes seen.
      embedding: size of a byte's embedding.
      hidden: units of the tanh layer.
      batch_size: windows a batch; a batch is `Examples` of int32 (batch_size, context) and int32
        (batch_size,).
    """

    context: int = 8
    embedding: int = 16
    hidden: int = 64
    batch_size: int = 32

    @property
    def name(self) -> str:
        return f"kjv_mlp_c{self.context}_e{self.embedding}_h{self.hidden}_b{self.batch_size}"

    def build(self) -> Task:
        corpus = data.king_james()
        network = FeedForwardLM(len(corpus.vocabulary), self.embedding, self.hidden)
        return text_task(self.name, network, corpus, self.context, self.batch_size, predict="last")


@dataclass(frozen=True)
class TextTransformer:
    """A causal Transformer: every byte of a window from the bytes before it.

    Blocks are pre-norm, with learned positions and a GELU layer four times as wide; no dropout, no
    weight tying.

    Reference: Vaswani et al., "Attention is all you need", 2017; Radford et al., "Language models
    are unsupervised multitask learners", 2019, for the shape of a block.

    Attributes:
      layers: number of blocks.
      width: size of the residual stream, a multiple of `heads`.
      heads: attention heads.
      context: bytes of a window.
      batch_size: windows a batch; a batch is `Examples` of two int32 (batch_size, context), inputs
        and labels.

    Raises:
      ValueError: if `width` is not a multiple of `heads`.
    """

    layers: int = 1
    width: int = 64
    heads: int = 4
    context: int = 32
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"TextTransformer: width {self.width} is not a multiple of heads {self.heads}; "
                "each head needs the same share"
            )

    @property
    def name(self) -> str:
        return (
            f"kjv_transformer_l{self.layers}_w{self.width}_h{self.heads}"
            f"_c{self.context}_b{self.batch_size}"
        )

    def build(self) -> Task:
        corpus = data.king_james()
        network = Transformer(len(corpus.vocabulary), self.layers, self.width, self.heads)
        return text_task(self.name, network, corpus, self.context, self.batch_size, predict="all")


def text_task(
    name: str,
    network: nn.Module,
    corpus: Corpus,
    context: int,
    batch_size: int,
    predict: Literal["last", "all"],
) -> Task:
    """A language-modelling task on windows of `context` bytes.

    Args:
      name: the task's name.
      network: int32 (n, context) -> logits (n, vocabulary) to predict the last, (n, context,
        vocabulary) to predict all.
      corpus: the text.
      context: bytes a window.
      batch_size: windows a batch, drawn uniformly with replacement.
      predict: `"last"`, the byte after the window; `"all"`, the byte after each byte of the window.
    """
    labels_a_window = 1 if predict == "last" else context

    def batch(key: jax.Array) -> Batch:
        starts = jax.random.randint(key, (batch_size,), 0, len(corpus.train) - context, jnp.int32)
        offsets = jnp.arange(context + 1, dtype=jnp.int32)
        windows = jnp.asarray(corpus.train)[starts[:, None] + offsets[None, :]].astype(jnp.int32)
        labels = windows[:, -1] if predict == "last" else windows[:, 1:]
        return Examples(windows[:, :-1], labels)

    def held_out(tokens: Array) -> Examples[Array]:
        windows = even_windows(tokens, context + 1, _EVALUATED_BYTES // labels_a_window)
        labels = windows[:, -1] if predict == "last" else windows[:, 1:]
        return Examples(windows[:, :-1], labels)

    validation = held_out(corpus.validation)
    return supervised_task(
        name,
        network,
        batch,
        {"validation": validation, "test": held_out(corpus.test)},
        frequency_loss(corpus.train, validation.labels, len(corpus.vocabulary)),
    )


def even_windows(tokens: Array, length: int, count: int) -> Array:
    """Windows at even distances from start to end: tokens (n,) -> int32 (count, length)."""
    starts = np.arange(count) * (len(tokens) - length) // (count - 1)
    return tokens[starts[:, None] + np.arange(length)[None, :]].astype(np.int32)


class Embedding(nn.Module):
    """Token ids (...) -> vectors (..., width).

    A product with one-hot vectors rather than a look-up, for the reason in
    `tasks.supervised.cross_entropy`.
    """

    vocabulary: int
    width: int
    deviation: float

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        shape = (self.vocabulary, self.width)
        table = self.param("embedding", nn.initializers.normal(self.deviation), shape, jnp.float32)
        return jax.nn.one_hot(tokens, self.vocabulary, dtype=table.dtype) @ table


class FeedForwardLM(nn.Module):
    """Token ids (n, context) -> logits (n, vocabulary)."""

    vocabulary: int
    embedding: int
    hidden: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        embedded = Embedding(self.vocabulary, self.embedding, 1.0)(tokens)
        hidden = nn.tanh(nn.Dense(self.hidden)(embedded.reshape((*tokens.shape[:-1], -1))))
        return nn.Dense(self.vocabulary)(hidden)


class Block(nn.Module):
    """One pre-norm Transformer block on (n, context, width)."""

    heads: int

    @nn.compact
    def __call__(self, stream: jax.Array) -> jax.Array:
        width = stream.shape[-1]
        projected = nn.Dense(3 * width, use_bias=False)(nn.LayerNorm()(stream))
        per_head = projected.reshape((*stream.shape[:-1], 3 * self.heads, width // self.heads))
        query, key, value = jnp.split(per_head, 3, axis=-2)
        attended = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        stream = stream + nn.Dense(width, use_bias=False)(attended.reshape(stream.shape))
        hidden = nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(stream)))
        return stream + nn.Dense(width)(hidden)


class Transformer(nn.Module):
    """Token ids (n, context) -> logits (n, context, vocabulary); output i sees ids 0..i only."""

    vocabulary: int
    layers: int
    width: int
    heads: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        shape = (tokens.shape[-1], self.width)
        positions = self.param("positions", nn.initializers.normal(0.02), shape, jnp.float32)
        stream = Embedding(self.vocabulary, self.width, 0.02)(tokens) + positions[None]
        for _ in range(self.layers):
            stream = Block(self.heads)(stream)
        return nn.Dense(self.vocabulary)(nn.LayerNorm()(stream))
