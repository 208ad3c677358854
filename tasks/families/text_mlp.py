"""Feed-forward language models of bytes."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.language import text_task
from tasks.layers import Embedding
from tasks.sampling import log_uniform_int


@dataclass(frozen=True)
class TextMLP:
    """A neural probabilistic language model: the next byte from the `context` bytes before it.

    Embeddings of the context are laid end to end, and pass one tanh layer.

    Reference: Bengio, Ducharme, Vincent, Jauvin, "A neural probabilistic language model", JMLR 2003
    (without its direct connections from embeddings to output).

    Attributes:
      corpus: a name in `tasks.data.CORPORA`.
      context: bytes seen.
      embedding: size of a byte's embedding.
      hidden: units of the tanh layer.
      batch_size: windows a batch; a batch is `Examples` of int32 (batch_size, context) and int32
        (batch_size,).
    """

    corpus: str = "kjv"
    context: int = 8
    embedding: int = 16
    hidden: int = 64
    batch_size: int = 32

    @property
    def name(self) -> str:
        sizes = f"c{self.context}_e{self.embedding}_h{self.hidden}_b{self.batch_size}"
        return f"{self.corpus}_mlp_{sizes}"

    def build(self) -> Task:
        corpus = data.corpus(self.corpus)
        network = FeedForwardLM(len(corpus.vocabulary), self.embedding, self.hidden)
        return text_task(self.name, network, corpus, self.context, self.batch_size, predict="last")

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            context=log_uniform_int(generator, 4, 16),
            embedding=log_uniform_int(generator, 8, 32),
            hidden=log_uniform_int(generator, 16, 128),
            batch_size=log_uniform_int(generator, 8, 64),
        )


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
