"""The meta-training of `experiments/meta_digits.py` from several seeds: do all learn, and when?

    python -m experiments.meta_seeds [--seeds 3] [--out FILE.json]

About two minutes a seed on two CPU cores. The curves are means over 50 meta-updates.
"""

import argparse
import json
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from experiments.meta_digits import CONFIG
from search.cluster import InProcess
from search.machine import cores
from search.meta.train import advance, begin

WINDOW, GOAL = 50, 1.0


def trained(seed: int, steps: int) -> dict[str, Any]:
    """The meta-losses of a seed, and when their mean over a window is below the goal."""
    config = replace(CONFIG, seed=seed)
    state, records = begin(config), []
    with_threads = InProcess(min(config.groups, cores()))
    for _ in range(steps):
        state, record = advance(config, state, with_threads)
        records.append(record)
    losses = np.array([record.loss for record in records])
    seconds = list(accumulate(record.seconds for record in records))
    means = losses[: len(losses) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1)
    below = np.flatnonzero(means < GOAL)
    reached = (int(below[0]) + 1) * WINDOW if len(below) else None
    return {
        "seed": seed,
        "meta_losses": means.round(4).tolist(),
        "updates_to_goal": reached,
        "seconds_to_goal": round(seconds[reached - 1], 1) if reached else None,
        "seconds": round(seconds[-1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=CONFIG.steps)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds):
        rows.append(trained(seed, args.steps))
        print(
            "seed {seed}: below 1.0 after {updates_to_goal} meta-updates, {seconds_to_goal} s; "
            "{last:.3f} after {seconds} s".format(last=rows[-1]["meta_losses"][-1], **rows[-1]),
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
