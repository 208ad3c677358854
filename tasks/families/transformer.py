"""Small causal Transformers on text."""

from dataclasses import dataclass
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.attention import Block
from tasks.base import Task
from tasks.language import text_task
from tasks.layers import Embedding
from tasks.sampling import choice, log_uniform_int


@dataclass(frozen=True)
class TextTransformer:
    """A causal Transformer: every token of a window from the tokens before it.

    Blocks are pre-norm, with learned positions and a GELU layer four times as wide; no dropout, no
    weight tying.

    Reference: Vaswani et al., "Attention is all you need", 2017; Radford et al., "Language models
    are unsupervised multitask learners", 2019, for the shape of a block.

    Attributes:
      corpus: a name in `tasks.data.CORPORA`.
      layers: number of blocks.
      width: size of the residual stream, a multiple of `heads`.
      heads: attention heads.
      context: tokens of a window, bytes or words as the corpus has them.
      batch_size: windows a batch; a batch is `Examples` of two int32 (batch_size, context), inputs
        and labels.

    Raises:
      ValueError: if `width` is not a multiple of `heads`.
    """

    corpus: str = "kjv"
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
            f"{self.corpus}_transformer_l{self.layers}_w{self.width}_h{self.heads}"
            f"_c{self.context}_b{self.batch_size}"
        )

    def build(self) -> Task:
        corpus = data.corpus(self.corpus)
        network = Transformer(len(corpus.vocabulary), self.layers, self.width, self.heads)
        return text_task(self.name, network, corpus, self.context, self.batch_size, predict="all")

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        heads = choice(generator, (1, 2, 4))
        return cls(
            layers=choice(generator, (1, 1, 2)),
            width=heads * log_uniform_int(generator, 8, 16),
            heads=heads,
            context=log_uniform_int(generator, 8, 32),
            batch_size=log_uniform_int(generator, 4, 16),
        )


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
