"""The recurrent unit of NN-Adam and VeLO.

  i, g, f, o = [x, h] W + b
  c <- sigmoid(f + 1) c + sigmoid(i) tanh(g)
  h <- sigmoid(o) tanh(c)

Reference: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate's bias of 1
is Jozefowicz et al.'s, 2015.
"""

import jax
import jax.numpy as jnp

from metaopt.learned import mlp
from metaopt.learned.tensors import linear

State = tuple[jax.Array, jax.Array]
"""h and c, float32 (..., hidden) each."""


def init(key: jax.Array, inputs: int, hidden: int) -> dict[str, jax.Array]:
    """Weights `w` float32 (inputs + hidden, 4 hidden) and `b` float32 (4 hidden,)."""
    return mlp.linear(key, inputs + hidden, 4 * hidden)


def apply(theta: dict[str, jax.Array], x: jax.Array, state: State) -> State:
    """One step, of many units at once: x is float32 (rows, inputs)."""
    h, c = state
    z = linear(theta, jnp.concatenate([x, h], axis=-1))
    i, g, f, o = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c
