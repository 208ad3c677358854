"""Recurrent language models of bytes: vanilla, GRU and LSTM.

With x_t the embedding of byte t, h the hidden state, s the logistic function, and * elementwise:

    vanilla:  h_t = tanh(W x_t + U h_{t-1} + b)

    GRU:      r, z = s(W x_t + U h_{t-1} + b)                       (a third of the rows each)
              n    = tanh(W_n x_t + b_n + r * (U_n h_{t-1}))
              h_t  = (1 - z) * n + z * h_{t-1}

    LSTM:     i, f, o = s(W x_t + U h_{t-1} + b),  g = tanh(W_g x_t + U_g h_{t-1} + b_g)
              c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t)

References: Elman, "Finding structure in time", 1990; Cho et al., "Learning phrase representations
using RNN encoder-decoder for statistical machine translation", 2014 (arXiv 1406.1078); Hochreiter
and Schmidhuber, "Long short-term memory", 1997, and Jozefowicz, Zaremba, Sutskever, "An empirical
exploration of recurrent network architectures", 2015, for the bias of 1 on the forget gate.

Deviations: the GRU's reset gate acts on the product U_n h, as in cuDNN, rather than on h.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Task
from tasks.language import text_task
from tasks.layers import INITIALIZERS, Embedding, check_choice
from tasks.naming import variant
from tasks.sampling import choice, log_uniform_int

State = tuple[jax.Array, ...]
"""What a cell remembers, each (n, hidden); the first is the hidden state h."""


def vanilla(state: State, inputs: jax.Array, kernel: jax.Array) -> State:
    """A step of Elman's network; see `Cell`."""
    (hidden,) = state
    return (jnp.tanh(inputs + hidden @ kernel),)


def gru(state: State, inputs: jax.Array, kernel: jax.Array) -> State:
    """A step of the gated recurrent unit; see `Cell`."""
    (hidden,) = state
    reset_in, update_in, new_in = jnp.split(inputs, 3, axis=-1)
    reset_rec, update_rec, new_rec = jnp.split(hidden @ kernel, 3, axis=-1)
    reset = jax.nn.sigmoid(reset_in + reset_rec)
    update = jax.nn.sigmoid(update_in + update_rec)
    new = jnp.tanh(new_in + reset * new_rec)
    return ((1 - update) * new + update * hidden,)


def lstm(state: State, inputs: jax.Array, kernel: jax.Array) -> State:
    """A step of long short-term memory; see `Cell`."""
    hidden, memory = state
    enter, forget, leave, new = jnp.split(inputs + hidden @ kernel, 4, axis=-1)
    kept = jax.nn.sigmoid(forget + 1) * memory
    memory = kept + jax.nn.sigmoid(enter) * jnp.tanh(new)
    return jax.nn.sigmoid(leave) * jnp.tanh(memory), memory


class Cell(NamedTuple):
    """A recurrent cell.

    Attributes:
      step: (state, W x_t + b, U) -> the next state, where W x_t + b is (n, blocks * hidden) and U
        (hidden, blocks * hidden).
      blocks: gates and the like: how many times `hidden` wide W, U and b are.
      states: how many arrays the state has.
    """

    step: Callable[[State, jax.Array, jax.Array], State]
    blocks: int
    states: int


CELLS: Mapping[str, Cell] = {
    "vanilla": Cell(vanilla, 1, 1),
    "gru": Cell(gru, 3, 1),
    "lstm": Cell(lstm, 4, 2),
}
"""The cells a configuration may name."""


@dataclass(frozen=True)
class TextRNN:
    """A recurrent network that predicts every byte of a window from the bytes before it.

    The state is zero before each window; gradients go back to its start.

    Attributes:
      corpus: a name in `tasks.data.CORPORA`.
      cell: a name in `CELLS`.
      embedding: size of a byte's embedding.
      hidden: size of the hidden state.
      context: bytes of a window.
      batch_size: windows a batch; a batch is `Examples` of two int32 (batch_size, context), inputs
        and labels.
      init: a name in `tasks.layers.INITIALIZERS`, of the kernels, U as one (hidden, blocks *
        hidden); biases start at 0.

    Raises:
      ValueError: for a name that there is none of.
    """

    corpus: str = "kjv"
    cell: str = "gru"
    embedding: int = 16
    hidden: int = 32
    context: int = 16
    batch_size: int = 16
    init: str = "lecun_normal"

    def __post_init__(self) -> None:
        check_choice("cell", self.cell, CELLS)
        check_choice("initializer", self.init, INITIALIZERS)

    @property
    def name(self) -> str:
        sizes = f"e{self.embedding}_h{self.hidden}_c{self.context}_b{self.batch_size}"
        return f"{self.corpus}_{self.cell}_{sizes}" + variant(self, "init")

    def build(self) -> Task:
        corpus = data.corpus(self.corpus)
        network = RecurrentLM(
            len(corpus.vocabulary), self.cell, self.embedding, self.hidden, self.init
        )
        return text_task(self.name, network, corpus, self.context, self.batch_size, predict="all")

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            cell=choice(generator, tuple(CELLS)),
            embedding=log_uniform_int(generator, 8, 32),
            hidden=log_uniform_int(generator, 16, 48),
            context=log_uniform_int(generator, 8, 24),
            batch_size=log_uniform_int(generator, 8, 24),
            init=choice(generator, ("lecun_normal", "glorot_uniform", "orthogonal")),
        )


class RecurrentLM(nn.Module):
    """Token ids (n, context) -> logits (n, context, vocabulary); output i sees ids 0..i only."""

    vocabulary: int
    cell: str
    embedding: int
    hidden: int
    initializer: str = "lecun_normal"

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        cell = CELLS[self.cell]
        width = cell.blocks * self.hidden
        # One product for all times; only what depends on the state is left to the loop.
        initializer = INITIALIZERS[self.initializer]
        inputs = nn.Dense(width, kernel_init=initializer)(
            Embedding(self.vocabulary, self.embedding, 1.0)(tokens)
        )
        kernel = self.param("recurrent", initializer, (self.hidden, width), jnp.float32)

        def step(state: State, inputs: jax.Array) -> tuple[State, jax.Array]:
            state = cell.step(state, inputs, kernel)
            return state, state[0]

        zeros = jnp.zeros((tokens.shape[0], self.hidden), jnp.float32)
        initial = (zeros,) * cell.states
        _, hidden = jax.lax.scan(step, initial, jnp.swapaxes(inputs, 0, 1))
        return nn.Dense(self.vocabulary, kernel_init=initializer)(jnp.swapaxes(hidden, 0, 1))
