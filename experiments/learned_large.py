"""A released learned optimizer on Transformers wider than any that it was trained on.

    python -m experiments.learned_large [--optimizer celo_v4] [--out FILE.json]

Byte-level language models of the King James Bible of growing width, two layers deep. Beside the
learned optimizer, as it is and with its steps scaled down, Adam with a cosine schedule and the best
of six learning rates. Meta-training saw Transformers of width 44 at most.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import metaopt
import tasks
from tasks import Task
from tasks.families.transformer import TextTransformer

WIDTHS, STEPS = (32, 64, 128, 256), 400
FACTORS = (1.0, 0.3, 0.1)
"""What the learned optimizer's steps are multiplied with."""
RATES = tuple(float(rate) for rate in np.logspace(-4, -1.5, 6))


def trained(task: Task, optimizer: optax.GradientTransformation) -> float:
    """The validation loss that a training ends with; infinite if that is no number."""
    optimizer = optax.with_extra_args_support(optimizer)
    key = jax.random.key(0)
    params = task.init(key)

    @jax.jit
    def run(params: dict, state: object) -> jax.Array:
        def step(carry: tuple, k: jax.Array) -> tuple[tuple, None]:
            params, state = carry
            batch = task.batch(jax.random.fold_in(key, k))
            loss, gradients = jax.value_and_grad(task.loss)(params, batch)
            updates, state = optimizer.update(gradients, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, state), jnp.arange(STEPS))
        return task.evaluate(params, "validation")

    return float(np.nan_to_num(run(params, optimizer.init(params)), nan=np.inf))


def compare(width: int, name: str) -> dict[str, Any]:
    """A learned optimizer beside tuned Adam on one Transformer."""
    task = TextTransformer(layers=2, width=width, heads=4, context=32, batch_size=8).build()
    learned = {
        factor: trained(task, optax.chain(metaopt.load(name, num_steps=STEPS), optax.scale(factor)))
        for factor in FACTORS
    }
    adam = {
        rate: trained(task, optax.adam(optax.cosine_decay_schedule(rate, STEPS))) for rate in RATES
    }
    best = min(adam, key=adam.__getitem__)
    return {
        "optimizer": name,
        "width": width,
        "parameters": tasks.parameter_count(task),
        "steps": STEPS,
        "learned": learned,
        "adam": adam[best],
        "adam_rate": best,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", default="celo_v4")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for width in WIDTHS:
        rows.append(compare(width, args.optimizer))
        print(json.dumps(rows[-1]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
