"""A learned optimizer in one's own training loop: a Mixer in flax, which no meta-training has seen.

    python -m experiments.train_learned [--steps 500] [--optimizer celo_v4]

Handwritten digits as sixteen patches of four pixels. The loss goes into every update, and nothing
is tuned. Adam with its default rate runs beside it.
"""

import argparse

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits

import metaopt

WIDTH, TRAIN, BATCH = 32, 1500, 64


class Mixer(nn.Module):
    """Two blocks that mix patches, then channels (Tolstikhin et al., arXiv 2105.01601)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits, float32 (batch, 10), of images (batch, 64)."""
        x = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4)
        x = nn.Dense(WIDTH)(x)
        for _ in range(2):
            patches = nn.gelu(nn.Dense(WIDTH)(nn.LayerNorm()(x).swapaxes(1, 2)))
            x = x + nn.Dense(16)(patches).swapaxes(1, 2)
            x = x + nn.Dense(WIDTH)(nn.gelu(nn.Dense(2 * WIDTH)(nn.LayerNorm()(x))))
        return nn.Dense(10)(nn.LayerNorm()(x).mean(axis=1))


def train(optimizer: optax.GradientTransformationExtraArgs, steps: int) -> tuple[float, float]:
    """Test loss and accuracy after some steps."""
    images, labels = load_digits(return_X_y=True)
    images, labels = jnp.asarray(images / 16.0, jnp.float32), jnp.asarray(labels)
    model = Mixer()
    params = model.init(jax.random.key(0), images[:1])

    def loss_of(params: dict, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = model.apply(params, x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        params, state = carry
        rows = jax.random.randint(key, (BATCH,), 0, TRAIN)
        loss, gradients = jax.value_and_grad(loss_of)(params, images[rows], labels[rows])
        updates, state = optimizer.update(gradients, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), loss

    keys = jax.random.split(jax.random.key(1), steps)
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))(
        (params, optimizer.init(params))
    )
    logits = model.apply(params, images[TRAIN:])
    accuracy = jnp.mean(jnp.argmax(logits, axis=1) == labels[TRAIN:])
    return float(loss_of(params, images[TRAIN:], labels[TRAIN:])), float(accuracy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--optimizer", default="celo_v4", help="name or file of weights")
    args = parser.parse_args()
    for name, optimizer in (
        (args.optimizer, metaopt.load(args.optimizer, num_steps=args.steps)),
        ("adam, 0.001", optax.with_extra_args_support(optax.adam(1e-3))),
    ):
        loss, accuracy = train(optimizer, args.steps)
        print(f"{name:16} test loss {loss:.3f}, accuracy {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
