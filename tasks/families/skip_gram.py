"""Word vectors by skip-gram with negative sampling: gradients of which most rows are zero."""

import functools
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks import data
from tasks.base import Batch, Params, Split, Task, dataset_task
from tasks.data import Array
from tasks.layers import look_up
from tasks.naming import variant
from tasks.sampling import choice, log_uniform_int

_HELD_OUT_PAIRS = 1024
_HELD_OUT_NEGATIVES = 64
_NEGATIVE_TABLE = 1 << 14
_NEGATIVE_POWER = 0.75


class Words(NamedTuple):
    """A text as ids of its commonest words, cut as its bytes are: int32 (length,) each."""

    train: Array
    validation: Array
    test: Array


class Pairs(NamedTuple):
    """Words and one neighbour of each, int32 (n,); words that stand for no neighbour, (k,)."""

    centers: jax.Array | Array
    contexts: jax.Array | Array
    negatives: jax.Array | Array


@dataclass(frozen=True)
class SkipGram:
    """Word vectors that tell the neighbours of a word from words at random.

    With vectors u of a word and v of a neighbour, the loss of a pair (w, c) is

        -log sigmoid(u_w . v_c + b_c) - negatives * mean_n log sigmoid(-(u_w . v_n + b_n)),

    over words n drawn by their frequencies to the power 3/4. One set of n serves a whole batch, so
    the gradient of `input` has at most `batch_size` rows that are not zero, and that of `output`
    and of b at most `batch_size` + `shared`; all others are zero exactly.

    The text is in lower case; words beyond the `vocabulary` commonest are
    left out before neighbours are counted. The trivial loss is the origin's, where every score is
    0: (1 + negatives) log 2.

    Reference: Mikolov, Sutskever, Chen, Corrado, Dean, "Distributed representations of words and
    phrases and their compositionality", NeurIPS 2013 (arXiv 1310.4546). Deviations: the shared
    negatives, the bias b, a uniform distance of neighbours, no subsampling of common words.

    Attributes:
      corpus: a name in `tasks.data.CORPORA`, of bytes.
      vocabulary: words that are told apart; parameters are {"input": (vocabulary, width),
        "output": (vocabulary, width), "bias": (vocabulary,)}.
      width: size of a vector.
      window: how many words away a neighbour is at most.
      negatives: weight of the words at random against the neighbour.
      shared: how many words at random a batch draws.
      batch_size: pairs a batch; a batch is `Pairs` of int32.

    Raises:
      ValueError: for a size below 1, or a vocabulary below 2.
    """

    corpus: str = "kjv"
    vocabulary: int = 500
    width: int = 16
    window: int = 2
    negatives: int = 5
    shared: int = 16
    batch_size: int = 64

    def __post_init__(self) -> None:
        sizes = (self.width, self.window, self.negatives, self.shared, self.batch_size)
        if min(sizes) < 1 or self.vocabulary < 2:
            raise ValueError(
                f"SkipGram: width {self.width}, window {self.window}, negatives {self.negatives}, "
                f"shared {self.shared} and batch_size {self.batch_size} must be at least 1, and "
                f"vocabulary {self.vocabulary} at least 2"
            )

    @property
    def name(self) -> str:
        base = f"{self.corpus}_skip_gram_v{self.vocabulary}_w{self.width}_b{self.batch_size}"
        return base + variant(self, "window", "negatives", "shared")

    def build(self) -> Task:
        corpus = words(self.corpus, self.vocabulary)
        table = negative_table(corpus.train, self.vocabulary)

        def init(key: jax.Array) -> Params:
            # As word2vec starts: vectors of words uniform and small, those of neighbours zero.
            shape, bound = (self.vocabulary, self.width), 0.5 / self.width
            return {
                "input": jax.random.uniform(key, shape, jnp.float32, -bound, bound),
                "output": jnp.zeros(shape, jnp.float32),
                "bias": jnp.zeros((self.vocabulary,), jnp.float32),
            }

        def batch(key: jax.Array) -> Batch:
            where, which, random = jax.random.split(key, 3)
            last = len(corpus.train) - self.window
            size = (self.batch_size,)
            centers = jax.random.randint(where, size, self.window, last, jnp.int32)
            distances = jax.random.randint(which, size, 0, 2 * self.window, jnp.int32)
            draws = jax.random.randint(random, (self.shared,), 0, _NEGATIVE_TABLE, jnp.int32)
            text = jnp.asarray(corpus.train)
            contexts = text[centers + _offsets(distances, self.window)]
            return Pairs(text[centers], contexts, jnp.asarray(table)[draws])

        def loss(params: Params, batch: Batch) -> jax.Array:
            u = _rows(params["input"], batch.centers)
            positive = jnp.sum(u * _rows(params["output"], batch.contexts), axis=-1)
            positive = positive + _rows(params["bias"][:, None], batch.contexts)[:, 0]
            negative = u @ _rows(params["output"], batch.negatives).T
            negative = negative + _rows(params["bias"][:, None], batch.negatives).T
            random = self.negatives * jnp.mean(jax.nn.softplus(negative))
            return jnp.mean(jax.nn.softplus(-positive)) + random

        held_out: dict[Split, Pairs] = {
            "validation": self._held_out(corpus.validation, table, 1),
            "test": self._held_out(corpus.test, table, 2),
        }
        trivial = (1 + self.negatives) * math.log(2.0)
        return dataset_task(self.name, init, batch, loss, held_out, trivial)

    def _held_out(self, tokens: Array, table: Array, seed: int) -> Pairs:
        generator = np.random.Generator(np.random.PCG64(seed))
        places = np.arange(_HELD_OUT_PAIRS) * (len(tokens) - 2 * self.window) // _HELD_OUT_PAIRS
        places = places + self.window
        distances = generator.integers(0, 2 * self.window, _HELD_OUT_PAIRS)
        draws = generator.integers(0, _NEGATIVE_TABLE, _HELD_OUT_NEGATIVES)
        contexts = tokens[places + _offsets(distances, self.window)]
        return Pairs(tokens[places], contexts, table[draws])

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            vocabulary=log_uniform_int(generator, 100, 800),
            width=log_uniform_int(generator, 4, 16),
            window=choice(generator, (1, 2, 5)),
            negatives=choice(generator, (5, 5, 10)),
            shared=log_uniform_int(generator, 8, 32),
            batch_size=log_uniform_int(generator, 16, 128),
        )


def _offsets(distances: Any, window: int) -> Any:
    """0, 1, ..., 2 window - 1 -> -window, ..., -1, 1, ..., window."""
    return distances - window + (distances >= window)


def _rows(table: jax.Array, ids: jax.Array | Array) -> jax.Array:
    """Rows (n, width) of a table (vocabulary, width); a product, as in `tasks.layers.Embedding`."""
    return look_up(table, ids)


@functools.cache
def words(corpus: str, vocabulary: int) -> Words:
    """A text as ids of words, 0 for the commonest of the training text, 1 for the next.

    Words are runs of letters and apostrophes, lower-cased; of equally common words the one that
    occurs first comes first; words beyond the `vocabulary` commonest are left out.

    Raises:
      ValueError: if the training text has fewer different words.
    """
    texts = data.corpus(corpus)
    assert isinstance(texts.vocabulary, bytes)
    letters = np.frombuffer(texts.vocabulary, np.uint8)
    parts = [
        re.findall(rb"[a-z]+(?:'[a-z]+)*", letters[part].tobytes().lower())
        for part in (texts.train, texts.validation, texts.test)
    ]
    commonest = Counter(parts[0]).most_common(vocabulary)
    if len(commonest) < vocabulary:
        raise ValueError(
            f"SkipGram: vocabulary {vocabulary} is more than the {len(commonest)} different words "
            "of the text; ask for fewer"
        )
    ids = {word: i for i, (word, _) in enumerate(commonest)}
    return Words(*(np.array([ids[w] for w in part if w in ids], np.int32) for part in parts))


def negative_table(train: Array, vocabulary: int) -> Array:
    """Ids int32 (16384,), each as often as its frequency in `train` to the power 3/4, about."""
    weights = np.bincount(train, minlength=vocabulary) ** _NEGATIVE_POWER
    ends = np.cumsum(weights) / weights.sum()
    places = (np.arange(_NEGATIVE_TABLE) + 0.5) / _NEGATIVE_TABLE
    return np.searchsorted(ends, places).astype(np.int32)
