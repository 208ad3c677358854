"""The complete benchmark on the held-out suite, and what is published of it.

    metaopt bench run --suite held_out --optimizers adamw,adam,lion,momentum_sgd,rmsprop --out DIR
    python -m experiments.held_out DIR

The second command writes, from the benchmark in DIR,

- `tasks/curves/SUITE.json`, what is normal on each task: of AdamW, Lion and SGD with momentum the
  learning rate of the best trial, and its validation loss, mean and deviation over seeds;
- `experiments/results/held_out/`: page, table, summary, and a figure of tuned AdamW.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import tasks
from search.bench import report
from search.bench.measures import best_trial
from search.bench.plots_curves import suite_curves
from search.bench.results import Results, Trials
from search.bench.summary import to_json
from search.errors import write_whole
from search.figures import LIGHT
from tasks import published as files

RESULTS = Path(__file__).parent / "results" / "held_out"

OPTIMIZERS = ("adamw", "lion", "momentum_sgd")
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


def publish(results: Results) -> Path:
    """Write the curves beside their suite."""
    content = published(results)
    path = Path(tasks.__file__).parent / files.FOLDER / f"{results.suite}.json"
    rows = ",\n".join(f'"{task}": {json.dumps(entry)}' for task, entry in content["tasks"].items())
    about = json.dumps(content["about"])
    write_whole(path, f'{{"about": {about},\n"tasks": {{\n{rows}\n}}}}\n')
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a finished benchmark")
    folder = parser.parse_args().folder
    summary = report.conclude(folder)
    report.write(folder, summary)
    results = summary.results
    print(f"wrote {publish(results)}: {len(results.tasks)} tasks")
    for name in ("index.html", "table.md"):
        write_whole(RESULTS / name, (folder / report.FOLDER / name).read_bytes())
    write_whole(RESULTS / "summary.json", json.dumps(to_json(summary)) + "\n")
    figure = suite_curves(LIGHT, summary, results.settings[0], ("adamw",))
    write_whole(RESULTS / "adamw.png", figure)
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
