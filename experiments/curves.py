"""Publish a benchmark's curves with its suite: what is normal on each task.

    python -m experiments.curves DIR

writes `tasks/published/SUITE.json` from the benchmark in DIR: for each task and optimizer the
learning rate of the best trial, and its validation loss, mean and deviation over seeds.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import tasks
from search.bench import store
from search.bench.measures import best_trial
from search.bench.results import Results, Trials
from tasks import curves

OPTIMIZERS = ("adamw", "lion", "momentum")
POINTS = 20


def published(results: Results) -> dict:
    """The content of the file, from the first setting of a benchmark."""
    setting = results.settings[0]
    every = None
    found = {}
    for task, facts in results.tasks.items():
        entries = {}
        for name in OPTIMIZERS:
            trials = results.trials[task, setting, name]
            every = slice(len(trials.steps) // POINTS - 1, None, len(trials.steps) // POINTS)
            entries[name] = _curve(trials, facts.trivial_loss, every)
        steps = results.trials[task, setting, OPTIMIZERS[0]].steps[every].tolist()
        found[task] = {"steps": steps, "optimizers": entries}
    about = dict(results.provenance) | {"length": setting.length, "schedule": setting.schedule}
    return {"about": about, "tasks": found}


def _curve(trials: Trials, trivial_loss: float, every: slice) -> dict:
    best = best_trial(trials, trivial_loss)
    losses = trials.validation[best][:, every].astype(np.float64)
    return {
        "learning_rate": _short(trials.hyperparameters["learning_rate"][best]),
        "validation": [_short(x) for x in losses.mean(axis=0)],
        "spread": [_short(x) for x in losses.std(axis=0, ddof=1)],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a finished benchmark")
    results = store.results(parser.parse_args().folder)
    content = published(results)
    path = Path(tasks.__file__).parent / curves.FOLDER / f"{results.suite}.json"
    path.parent.mkdir(exist_ok=True)
    rows = ",\n".join(f'"{task}": {json.dumps(entry)}' for task, entry in content["tasks"].items())
    about = json.dumps(content["about"])
    path.write_text(f'{{"about": {about},\n"tasks": {{\n{rows}\n}}}}\n', encoding="utf-8")
    print(f"wrote {path}: {len(content['tasks'])} tasks")


if __name__ == "__main__":
    main()
