"""What language models share: windows of a text, to train on and to be judged by.

The loss is the mean cross-entropy in nats a token, which is a byte or a word. Held-out sets are
windows at even distances over the validation or test part of the text.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Task
from tasks.data import Array, Corpus, Examples
from tasks.supervised import frequency_loss, supervised_task

# The standard error of a held-out loss is then about 1%; a search evaluates as often as it trains.
_EVALUATED_TOKENS = 4096


def text_task(
    name: str,
    network: nn.Module,
    corpus: Corpus,
    context: int,
    batch_size: int,
    predict: Literal["last", "all"],
) -> Task:
    """A language-modelling task on windows of `context` tokens.

    Args:
      name: the task's name.
      network: int32 (n, context) -> logits (n, vocabulary) to predict the last, (n, context,
        vocabulary) to predict all.
      corpus: the text.
      context: tokens a window.
      batch_size: windows a batch, drawn uniformly with replacement.
      predict: `"last"`, the token after the window; `"all"`, that after each token of the window.
    """
    labels_a_window = 1 if predict == "last" else context

    def batch(key: jax.Array) -> Batch:
        starts = jax.random.randint(key, (batch_size,), 0, len(corpus.train) - context, jnp.int32)
        offsets = jnp.arange(context + 1, dtype=jnp.int32)
        windows = jnp.asarray(corpus.train)[starts[:, None] + offsets[None, :]].astype(jnp.int32)
        labels = windows[:, -1] if predict == "last" else windows[:, 1:]
        return Examples(windows[:, :-1], labels)

    def held_out(tokens: Array) -> Examples[Array]:
        windows = even_windows(tokens, context + 1, _EVALUATED_TOKENS // labels_a_window)
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
