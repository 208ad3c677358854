"""Every baseline on a small real task, with what a step and its state cost.

    python -m experiments.baselines_digits [--only ID,ID,...]

A network of 64-32-10 units learns handwritten digits for 200 steps. Each baseline tries five
learning rates, at equal ratios over the range that its row gives, two seeds each; the best by
validation loss counts. A wrapper is around Adam, a schedule drives SGD with momentum. The time of a
step is over that of `optax.adamw`, side by side on a tree of 50 tensors; the size of the state is
over that of the parameters. Written are `experiments/results/baselines.json` and `baselines.md`.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import tasks
from metaopt.baselines import BASELINES
from metaopt.baselines.memory import relative_memory
from search.bench.contenders import find, trials
from search.bench.drive import here
from search.bench.work import costs
from search.training import COURSES, initial_key, step_key
from tasks.data import cache

RESULTS = Path(__file__).parent / "results"
TASK, STEPS, RATES, SEEDS = "digits_mlp_32_relu_b32", 200, 5, 2


def digits(name: str) -> dict[str, float]:
    """The losses of a baseline at its best learning rate, and that rate."""
    task, contender = tasks.get(TASK), find(name)
    # A schedule of the literature is the course itself; all others fall along a cosine.
    course = COURSES["constant" if BASELINES[name].kind == "schedule" else "cosine"]

    def training(setting: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        """Validation loss before, validation and test loss after."""
        rate, seed = setting
        optimizer = contender.optimizer(lambda count: rate * course(count / STEPS), STEPS)

        def step(carry: tuple, count: jax.Array) -> tuple[tuple, None]:
            params, state = carry
            batch = task.batch(step_key(seed, count))
            loss, gradients = jax.value_and_grad(task.loss)(params, batch)
            updates, state = optimizer.update(gradients, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), None

        params = task.init(initial_key(seed))
        carry = (params, optimizer.init(params))
        (after, _), _ = jax.lax.scan(step, carry, jnp.arange(STEPS))
        return (
            task.evaluate(params, "validation"),
            task.evaluate(after, "validation"),
            task.evaluate(after, "test"),
        )

    rates = trials(contender, RATES, "grid")["learning_rate"]
    settings = (np.repeat(rates, SEEDS).astype(np.float32), np.tile(np.arange(SEEDS), RATES))
    # One after the other: side by side, what a method does now and then it would do at every step.
    losses = jax.jit(lambda settings: jax.lax.map(training, settings))(settings)
    initial, validation, test = (np.reshape(x, (RATES, SEEDS)) for x in losses)
    means = np.where(np.isfinite(validation), validation, np.inf).mean(axis=1)
    best = int(np.argmin(means))
    return {
        "learning_rate": float(rates[best]),
        "initial_loss": float(initial.mean()),
        "validation_loss": float(means[best]),
        "test_loss": float(test[best].mean()),
        "diverged": float(np.mean(~np.isfinite(validation))),
    }


def measure(names: list[str]) -> dict[str, dict]:
    """Everything about some baselines."""
    found: dict[str, dict] = {}

    def keep(number: int, row: dict) -> None:
        found[names[number]] = row
        print(
            f"{len(found):4} of {len(names)}  {names[number]:28} {row['test_loss']:.4f}", flush=True
        )

    here(cache.directory() / "compiled").run(digits, names, keep)
    for name in names:
        row = BASELINES[name]
        if row.kind != "schedule":
            found[name]["step_time"] = costs([find(name)], repeats=10)[name].step_time
            print(f"{name:28} {found[name]['step_time']:.2f} x adamw", flush=True)
        found[name]["state"] = relative_memory(row)
    return {name: found[name] for name in BASELINES if name in found}


NOTES = (
    (
        "wgan_weight_clipping, lipschitz_weight_constraint, momentum_spectral_norm, hyperp, trp",
        "bound the weights, or their singular values or rank, and with them how sure the "
        "network may become: they are constraints, for which a low loss on digits is no "
        "aim. The first has a limit of 0.3 here, since the 0.01 of critics leaves a "
        "classifier near chance.",
    ),
    (
        "gwt",
        "divides the gradient's wavelet details, of this step alone, by the root of "
        "averages that start at a thousandth of a square: early on they are ten times as "
        "large as Adam's steps, which batches of 32 make noise of. It was made for batches "
        "of hundreds of thousands of tokens.",
    ),
    (
        "dog, ldog, dadapt_lion",
        "start with a tiny step that has to grow, and 200 steps are few for it; dadapt_lion"
        " starts at 0.01 here rather than at 1e-6.",
    ),
    (
        "rprop",
        "takes noise of batches for steps too far; its steps are bounded by 0.01 here, "
        "since the 50 of its paper are for gradients of the whole data.",
    ),
    (
        "sgd_freeze_embed, coupled_adam, mup_adam, depth_mup, moe_lora_riemannian",
        "treat embeddings, wider or deeper networks, or pairs of factors apart, of which there "
        "are none here: they are the optimizer that they change, SGD with momentum or Adam.",
    ),
    (
        "scale_vector_weight_decay, wd_width_rule",
        "are ahead of adamw since their papers' decay of 0.1 is larger than Optax's 0.0001.",
    ),
    (
        "shampoo, madgrad, nadam, adalomo",
        "lead a table in which twenty methods are within the spread of two seeds. It says "
        "that they work, not which to choose.",
    ),
)
"""What stands out in the table, names of baselines, and why."""


def table(found: dict[str, dict]) -> str:
    """The Markdown table, best first."""
    head = ["baseline", "group", "test loss", "learning rate", "step time", "state"]
    lines = [head, ["---"] * len(head)]
    for name, row in sorted(found.items(), key=lambda item: item[1]["test_loss"]):
        lines.append(
            [
                f"`{name}`",
                BASELINES[name].group,
                f"{row['test_loss']:.4f}",
                f"{row['learning_rate']:.2g}",
                f"{row['step_time']:.2f}" if "step_time" in row else "",
                "" if row["state"] is None else f"{row['state']:.2f}",
            ]
        )
    about = " ".join(__doc__.split("\n\n")[2].split())
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- {names}: {why}" for names, why in NOTES)
    return f"# Baselines on digits\n\n{about}\n\n{rows}\n\nWhat stands out:\n\n{notes}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="ids, separated by commas; the others keep their results")
    only = parser.parse_args().only
    path = RESULTS / "baselines.json"
    kept = json.loads(path.read_text()) if only and path.exists() else {}
    found = kept | measure(only.split(",") if only else list(BASELINES))
    path.write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "baselines.md").write_text(table(found))
    worse = [
        name for name, row in found.items() if not row["validation_loss"] < row["initial_loss"]
    ]
    print(f"wrote {path}; {len(found)} baselines, without progress: {', '.join(worse) or 'none'}")


if __name__ == "__main__":
    main()
