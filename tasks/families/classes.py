"""Softmax regression from word to next word, both as rare as Zipf's law has them.

Input x is class k of K with probability p_k, and the label y follows P(y | x):

    p_k ~ k^(-exponent),    P(y | x) ~ p_y exp(contrast * g_xy),    g_xy ~ N(0, 1),

a bigram model of a language. The network is a table: logits W[x] + b. A batch is of inputs, and the
loss is the mean divergence KL(P(. | x) || softmax(W[x] + b)), in units of its expectation for the
trivial predictor, p. Its minimum is 0. The problem is convex, but gradients of row x are as rare as
x: gradient descent learns frequent classes first and others at a rate proportional to their
frequency, while Adam's updates are about as large for all.

References: Kunstner, Yadav, Milligan, Schmidt, Bietti, "Heavy-tailed class imbalance and why Adam
outperforms gradient descent on language models", NeurIPS 2024 (arXiv 2402.19449); Kunstner, Bach,
"Scaling laws for gradient descent and sign descent for linear bigram models under Zipf's law", 2025
(arXiv 2505.19227), whose loss is squared.
"""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from tasks.base import Batch, Params, Split, Task, check_split
from tasks.naming import variant
from tasks.sampling import log_uniform_int, uniform


@dataclass(frozen=True)
class ZipfBigram:
    """A table of logits that learns a random bigram model with heavy-tailed classes.

    Parameters are {"table": W (classes, classes), "bias": b (classes,)}, and start at N(0, 0.01^2)
    and 0. There is no data: `evaluate` is the exact expected loss on both splits, and the trivial
    loss is 1.

    Attributes:
      classes: K, of inputs and of labels.
      exponent: of Zipf's law; 0 makes all classes as common.
      contrast: how much labels depend on inputs, above 0.
      batch_size: inputs a batch; a batch is int32 (batch_size,).
      seed: fixes g.

    Raises:
      ValueError: for fewer than two classes, a negative exponent, or a contrast of 0 or less.
    """

    classes: int = 96
    exponent: float = 1.0
    contrast: float = 1.0
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classes < 2 or self.exponent < 0 or self.contrast <= 0:
            raise ValueError(
                f"ZipfBigram: classes {self.classes} must be at least 2, exponent {self.exponent} "
                f"at least 0, and contrast {self.contrast} above 0"
            )

    @property
    def name(self) -> str:
        base = f"zipf_bigram_{self.classes}_b{self.batch_size}"
        return base + variant(self, "exponent", "contrast", "seed")

    def build(self) -> Task:
        return zipf_bigram(
            self.name, self.classes, self.exponent, self.contrast, self.batch_size, self.seed
        )

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            classes=log_uniform_int(generator, 16, 128),
            exponent=round(uniform(generator, 0.0, 1.5), 2),
            contrast=round(uniform(generator, 0.5, 2.0), 2),
            batch_size=log_uniform_int(generator, 16, 128),
            seed=log_uniform_int(generator, 1, 1000),
        )


def zipf_bigram(
    name: str,
    classes: int,
    exponent: jax.Array | float,
    contrast: jax.Array | float,
    batch_size: int,
    seed: int,
) -> Task:
    """The task of `ZipfBigram`; `exponent` and `contrast` may be traced."""
    generator = np.random.Generator(np.random.PCG64(seed))
    tilt = generator.standard_normal((classes, classes)).astype(np.float32)
    log_ranks = np.log(np.arange(1, classes + 1)).astype(np.float32)

    def log_prior() -> jax.Array:
        """Log p, (classes,)."""
        return jax.nn.log_softmax(-exponent * jnp.asarray(log_ranks))

    def divergences(log_predicted: jax.Array) -> jax.Array:
        """KL(P(. | x) || predicted) for every input x: (classes, classes) -> (classes,)."""
        log_label = jax.nn.log_softmax(log_prior()[None, :] + contrast * jnp.asarray(tilt))
        return jnp.sum(jnp.exp(log_label) * (log_label - log_predicted), axis=-1)

    def expected(params: Params, share: jax.Array) -> jax.Array:
        """The loss where inputs are distributed as `share`, (classes,)."""
        prior = log_prior()
        trivial = jnp.sum(jnp.exp(prior) * divergences(prior[None, :]))
        logits = params["table"] + params["bias"][None, :]
        return jnp.sum(share * divergences(jax.nn.log_softmax(logits))) / trivial

    def init(key: jax.Array) -> Params:
        table = 0.01 * jax.random.normal(key, (classes, classes), jnp.float32)
        return {"table": table, "bias": jnp.zeros(classes, jnp.float32)}

    def batch(key: jax.Array) -> Batch:
        return jax.random.categorical(key, log_prior(), shape=(batch_size,)).astype(jnp.int32)

    def loss(params: Params, batch: Batch) -> jax.Array:
        # The whole table is read, weighted by how often each input occurs: nothing scatters.
        return expected(params, jnp.mean(jax.nn.one_hot(batch, classes, dtype=jnp.float32), axis=0))

    def evaluate(params: Params, split: Split) -> jax.Array:
        check_split(split)
        return expected(params, jnp.exp(log_prior()))

    return Task(name, init, batch, loss, evaluate, trivial_loss=1.0)
