"""The Transformer block that families of sequence and image models share."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Block(nn.Module):
    """One pre-norm Transformer block on (n, context, width).

    Reference: Vaswani et al., "Attention is all you need", 2017 (arXiv 1706.03762); Radford et al.,
    "Language models are unsupervised multitask learners", 2019, for the shape of a block.

    Attributes:
      heads: attention heads; the width is a multiple.
      causal: whether a place attends only to itself and those before it.
    """

    heads: int
    causal: bool = True

    @nn.compact
    def __call__(self, stream: jax.Array) -> jax.Array:
        width = stream.shape[-1]
        projected = nn.Dense(3 * width, use_bias=False)(nn.LayerNorm()(stream))
        per_head = projected.reshape((*stream.shape[:-1], 3 * self.heads, width // self.heads))
        query, key, value = jnp.split(per_head, 3, axis=-2)
        attended = jax.nn.dot_product_attention(query, key, value, is_causal=self.causal)
        stream = stream + nn.Dense(width, use_bias=False)(attended.reshape(stream.shape))
        hidden = nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(stream)))
        return stream + nn.Dense(width)(hidden)
