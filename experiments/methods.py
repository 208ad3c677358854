"""Evolution, hyperparameter evolution and random search on the demo's budget, several seeds.

    python -m experiments.methods [--seeds 3] [--jobs 2] [--runs runs/methods]

Every run is a whole campaign, resumable: run it again to go on. It writes `methods.json`,
`methods.md` (the verdict: test losses of every run's winner beside AdamW and Lion) and
`methods.png` into `experiments/results`.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.demo import CONFIG
from search import finish
from search.campaign import advance
from search.cluster import executor
from search.config import SearchConfig
from search.store import FILENAME, Store

RESULTS = Path(__file__).parent / "results"
METHODS = ("evolution", "hyperparameters", "random")
ROUNDS = {"evolution": CONFIG.rounds, "hyperparameters": 20, "random": 60}
"""About the same number of optimizer steps: fewer of the constants' mutants fail early."""

COLORS = {"evolution": "#0072B2", "hyperparameters": "#D55E00", "random": "#7F7F7F"}


def configured(method: str, seed: int) -> SearchConfig:
    """The demo's campaign with another method and seed."""
    evolution = replace(CONFIG.evolution, method=method)
    return replace(CONFIG, evolution=evolution, seed=seed, rounds=ROUNDS[method])


def run(folder: Path, config: SearchConfig) -> None:
    """Run one campaign to its end, from wherever it is."""
    exists = (folder / FILENAME).exists()
    store = Store.open(folder) if exists else Store.create(folder, config)
    with store.locked(), executor() as where:
        finish.begin(store, print)
        if advance(store, where):
            finish.finish(store, print)


def summary(folder: Path, method: str, seed: int) -> dict[str, Any]:
    """What is kept of a finished campaign."""
    store = Store.open(folder)
    records = store.rounds()
    curve, steps = [], 0
    for record in records:
        steps += record.counts.steps
        curve.append([steps, record.best])
    return {
        "method": method,
        "seed": seed,
        "curve": curve,
        "candidates": sum(record.counts.evaluated for record in records),
        "seconds": sum(record.seconds for record in records),
        "baselines": store.note("baselines"),
        "winner": store.note("winner"),
        "funnel": [stage["rows"][0]["fitness"] for stage in store.note("funnel")],
        "verdict": store.note("verdict"),
    }


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Best fitness over optimizer steps: a thin line a run, a thick one for a method's mean."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    budget = min(r["curve"][-1][0] for r in found)
    for method in METHODS:
        runs = [np.array(r["curve"]) for r in found if r["method"] == method]
        for curve in runs:
            axes.step(*curve.T, where="post", color=COLORS[method], alpha=0.35, linewidth=1)
        grid = np.linspace(runs[0][0, 0], budget, 400)
        at = [c[np.searchsorted(c[:, 0], grid, side="right") - 1, 1] for c in runs]
        axes.plot(grid, np.mean(at, axis=0), color=COLORS[method], linewidth=2.2, label=method)
    for line, style in zip(found[0]["baselines"], ("--", ":"), strict=True):
        label = f"{line['name']}, tuned"
        axes.axhline(line["fitness"], color="black", linestyle=style, linewidth=1, label=label)
    axes.set_xlim(0, budget)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g} M")
    axes.set_xlabel("optimizer steps spent on candidates")
    axes.set_ylabel("best fitness so far (validation)")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def cell(row: dict[str, Any]) -> str:
    """Mean and standard deviation of a test loss; how many diverged, if any did."""
    text = f"{row['loss']:.4f} ± {row['spread']:.4f}"
    count = row["diverged"]
    return f"{text} ({count} of {len(row['losses'])} diverged)" if count else text


def table(found: list[dict[str, Any]]) -> str:
    """Test losses, mean and standard deviation over fresh seeds, as Markdown."""
    tasks = found[0]["verdict"]["tasks"]
    seeds = found[0]["verdict"]["seeds"]
    head = ["rule", "campaign seed", *tasks]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]

    def cells(rows: list[dict[str, Any]], name: str) -> list[str]:
        chosen = {r["task"]: r for r in rows if r["name"] == name}
        return [cell(chosen[t]) for t in tasks]

    for name in ("AdamW", "Lion", "start"):
        label = "AdamW without bias correction (the start)" if name == "start" else name
        lines.append(" | ".join([label, "", *cells(found[0]["verdict"]["rows"], name)]))
    for r in found:
        first = [f"winner of {r['method']}", str(r["seed"])]
        lines.append(" | ".join([*first, *cells(r["verdict"]["rows"], "winner")]))
    body = "\n".join(f"| {line} |" for line in lines)
    return (
        f"Test loss in nats, mean ± standard deviation over {seeds} fresh seeds; the learning rate "
        f"of every rule is chosen among the same number of values on validation data.\n\n{body}\n"
    )


def main() -> None:
    """Run what is missing, then write the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="campaigns that run side by side")
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"), help="run a single campaign")
    arguments = parser.parse_args()

    def folder(method: str, seed: int) -> Path:
        return arguments.runs / f"{method}_{seed}"

    if arguments.one:
        method, seed = arguments.one
        run(folder(method, int(seed)), configured(method, int(seed)))
        return
    todo = [(method, seed) for seed in range(arguments.seeds) for method in METHODS]
    command = [sys.executable, "-m", "experiments.methods", "--runs", str(arguments.runs), "--one"]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        done = pool.map(lambda o: subprocess.run([*command, o[0], str(o[1])], check=True), todo)
        list(done)
    found = sorted(
        (summary(folder(m, s), m, s) for m, s in todo),
        key=lambda r: (METHODS.index(r["method"]), r["seed"]),
    )
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "methods.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.results / "methods.md").write_text(table(found))
    plot(found, arguments.results / "methods.png")
    print(table(found))


if __name__ == "__main__":
    main()
