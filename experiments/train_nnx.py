"""A rule in one's own training loop: a `flax.nnx` model on handwritten digits.

python -m experiments.train_nnx [NAME_OR_RULE_OR_CAMPAIGN] [--learning-rate 0.001]

The optimizer is anything that `metaopt.load` takes.
"""

import argparse
import inspect

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import metaopt
from metaopt.baselines import BASELINES
from metaopt.learned import released


class Network(nnx.Module):
    """64 pixels -> 10 logits."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.normalize = nnx.LayerNorm(64, rngs=rngs)
        self.logits = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        return self.logits(nnx.gelu(self.normalize(self.hidden(pixels))))


@nnx.jit
def step(
    network: Network, optimizer: nnx.Optimizer, pixels: jax.Array, labels: jax.Array
) -> jax.Array:
    """One step of training; the loss before it."""

    def loss(network: Network) -> jax.Array:
        logits = network(pixels)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, gradients = nnx.value_and_grad(loss)(network)
    optimizer.update(network, gradients, value=value)  # some methods look at the loss
    return value


def loaded(
    name: str, peak: float | None, steps: int = 300
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with all that it takes: a learning rate that falls to zero, or the length.

    Args:
      name: what `metaopt.load` takes.
      peak: the learning rate at first; None: the optimizer's own default, or 0.001.
      steps: length of the training.
    """
    is_rule = name in metaopt.rule_names()
    if released.find(name) is not None and not is_rule:
        return metaopt.load(name, num_steps=steps)
    needs = {}
    if name in BASELINES and not is_rule:
        row = BASELINES[name]
        default = inspect.signature(row.factory).parameters["learning_rate"].default
        default = default if isinstance(default, float) else None
        needs = {"num_steps": steps} if "num_steps" in row.needs else {}
    else:
        default = metaopt.find(name)[1]
    return metaopt.load(name, optax.cosine_decay_schedule(peak or default or 1e-3, steps), **needs)


def train(transformation: optax.GradientTransformation, steps: int = 300, seed: int = 0) -> float:
    """Train; the accuracy on held-out digits."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    train_pixels, test_pixels, train_labels, test_labels = map(jnp.asarray, split)
    network = Network(nnx.Rngs(seed))
    optimizer = nnx.Optimizer(network, transformation, wrt=nnx.Param)
    for key in jax.random.split(jax.random.key(seed), steps):
        rows = jax.random.randint(key, (64,), 0, len(train_labels))
        step(network, optimizer, train_pixels[rows], train_labels[rows])
    return float(jnp.mean(jnp.argmax(network(test_pixels), axis=-1) == test_labels))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("optimizer", nargs="?", default="normalized_sgd")
    parser.add_argument("--learning-rate", type=float, help="default: the optimizer's own")
    arguments = parser.parse_args()
    optimizer = loaded(arguments.optimizer, arguments.learning_rate)
    print(f"accuracy {train(optimizer):.4f}")
