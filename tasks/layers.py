"""What networks are built from: activations, initializers, normalizations, convolution, embedding.

Everything here is fast and exact in a batch of networks, `jax.vmap` over parameters: products of
matrices become batched products, and nothing scatters.
"""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "elu": nn.elu,
    "selu": nn.selu,
    "sigmoid": nn.sigmoid,
    "softplus": nn.softplus,
    "leaky_relu": nn.leaky_relu,
    "sin": jnp.sin,
}
"""The activation functions a configuration may name."""

INITIALIZERS: Mapping[str, nn.initializers.Initializer] = {
    "lecun_normal": nn.initializers.lecun_normal(),
    "he_normal": nn.initializers.he_normal(),
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "orthogonal": nn.initializers.orthogonal(),
    "small_normal": nn.initializers.normal(0.02),
}
"""The kernel initializers a configuration may name; flax's default is the first."""

NORMALIZATIONS: Mapping[str, Callable[[], nn.Module] | None] = {
    "none": None,
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
}
"""The normalizations a configuration may name; none of them carries statistics between batches."""

DEFAULTS = {"init": "lecun_normal", "norm": "none"}


def check_choice(kind: str, name: str, table: Mapping[str, object]) -> None:
    """Raise ValueError unless `name` is in `table`; `kind` says what it is: `"activation"`."""
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}: choose one of {', '.join(table)}")


def normalized(hidden: jax.Array, norm: str) -> jax.Array:
    """`hidden` after the normalization of that name, inside a module's compact `__call__`."""
    make = NORMALIZATIONS[norm]
    return hidden if make is None else make()(hidden)  # pyright: ignore[reportReturnType]


class Conv(nn.Module):
    """A two-dimensional convolution: (..., height, width, channels) -> (..., h, w, features).

    Parameters and values are those of `flax.linen.Conv` with "SAME" padding. It is computed as a
    product of shifted copies of the input with the kernel: in a batch of networks, XLA turns a
    convolution proper into one with many groups, which on a CPU is slower.

    Attributes:
      features: output channels.
      kernel_size: height and width of the kernel.
      strides: of the output, in pixels of the input.
      use_bias: whether a bias is added.
      kernel_init: initializer of the kernel, float32 (*kernel_size, channels, features).
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, inputs.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        outputs = patches(inputs, self.kernel_size, self.strides) @ kernel.reshape(
            (-1, self.features)
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            outputs = outputs + bias.reshape((1,) * (outputs.ndim - 1) + (-1,))
        return outputs


def patches(inputs: jax.Array, size: Sequence[int], strides: Sequence[int]) -> jax.Array:
    """What a "SAME" convolution sees at every place of its output.

    Args:
      inputs: (..., height, width, channels).
      size: height and width of the kernel.
      strides: of the output.

    Returns:
      (..., ceil(height / stride), ceil(width / stride), size[0] * size[1] * channels), in the order
      of a kernel (size[0], size[1], channels) flattened.
    """
    outputs = [-(-n // s) for n, s in zip(inputs.shape[-3:-1], strides, strict=True)]
    padding = [(0, 0)] * (inputs.ndim - 3)
    for n, k, s, m in zip(inputs.shape[-3:-1], size, strides, outputs, strict=True):
        total = max((m - 1) * s + k - n, 0)
        padding.append((total // 2, total - total // 2))
    padded = jnp.pad(inputs, [*padding, (0, 0)])

    def shifted(row: int, column: int) -> jax.Array:
        rows = slice(row, row + (outputs[0] - 1) * strides[0] + 1, strides[0])
        columns = slice(column, column + (outputs[1] - 1) * strides[1] + 1, strides[1])
        return padded[..., rows, columns, :]

    return jnp.concatenate(
        [shifted(row, column) for row in range(size[0]) for column in range(size[1])], axis=-1
    )


class Embedding(nn.Module):
    """Token ids (...) -> vectors (..., width)."""

    vocabulary: int
    width: int
    deviation: float

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        shape = (self.vocabulary, self.width)
        table = self.param("embedding", nn.initializers.normal(self.deviation), shape, jnp.float32)
        return look_up(table, tokens)


@jax.custom_jvp
def look_up(table: jax.Array, ids: jax.Array) -> jax.Array:
    """The rows (..., width) of a table (n, width) that ids (...) in [0, n) name.

    Derived as the product with one-hot vectors that it is: the gradient of a look-up proper is a
    scatter-add, which is slow on a CPU under `vmap` and not reproducible on a GPU.
    """
    return table.at[ids].get(mode="promise_in_bounds")


@look_up.defjvp
def _look_up_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    table, ids = primals
    one_hot = jax.nn.one_hot(ids, len(table), dtype=table.dtype)
    return look_up(table, ids), one_hot @ tangents[0]
