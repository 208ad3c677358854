r"""What is published of the released learned optimizers: how they were trained, and their verdict.

    metaopt meta-train run experiments/meta_celo.py --out CELO             (on a GPU)
    python -m experiments.learned release CELO celo_v3
    metaopt meta-train run experiments/meta_celo_long.py --out LONG        (on GPUs)
    python -m experiments.learned release LONG celo_v4
    metaopt meta-train run experiments/meta_adafac_mlp.py --out ADAFAC
    python -m experiments.learned release ADAFAC adafac_mlp_v2
    metaopt bench run --suite held_out --trials 15 --lengths 1,4 --out COSINE \
        --optimizers adam,lion,momentum_sgd,celo_v4,celo_v3,adafac_mlp_v2
    metaopt bench run --suite held_out --optimizers adam,celo_v4,celo_v3,adafac_mlp_v2 \
        --schedules constant --trials 15 --lengths 1,4 --out CONSTANT
    python -m experiments.learned verdict COSINE CONSTANT

`release` writes weights and card into `checkpoints/learned`, and the meta-training's page and curve
into `experiments/results/learned`. `verdict` writes the benchmarks' pages, tables and summaries
there, and into each card how the optimizer compares with Adam, tuned over 15 learning rates, with a
cosine schedule and at a constant rate, which is what VeLO's paper compares with.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from search.bench import report as bench_report
from search.bench.summary import to_json
from search.errors import write_whole
from search.meta import export
from search.meta import report as meta_report

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results" / "learned"
CHECKPOINTS = ROOT / "checkpoints" / "learned"

REFERENCE = "adam"
"""What learned optimizers are compared with, tuned over 15 learning rates on each task."""


def release(folder: Path, name: str) -> None:
    """Write the weights of a meta-training, its page and its curve."""
    export.export(folder, CHECKPOINTS / f"{name}.safetensors")
    page = meta_report.write(folder, None)
    write_whole(RESULTS / f"{name}.html", page.read_bytes())
    write_whole(RESULTS / f"{name}.png", (page.parent / "loss.png").read_bytes())


def publish(folders: list[Path]) -> None:
    """Write what benchmarks conclude, and each learned optimizer's verdicts into its card."""
    verdicts: dict[str, list[dict[str, Any]]] = {}
    for folder in folders:
        summary = bench_report.conclude(folder, REFERENCE)
        page = bench_report.write(folder, summary)
        content = to_json(summary)
        kept = RESULTS / content["settings"][0]["schedule"]
        for name in ("index.html", "table.md"):
            write_whole(kept / name, (page.parent / name).read_bytes())
        write_whole(kept / "summary.json", json.dumps(content) + "\n")
        for name in content["optimizers"]:
            verdicts.setdefault(name, []).extend(verdict(content, name))
    for card in sorted(CHECKPOINTS.glob("*.json")):
        if card.stem in verdicts:
            found = json.loads(card.read_text(encoding="utf-8"))
            found["verdict"] = verdicts[card.stem]
            write_whole(card, json.dumps(found, indent=2) + "\n")


def verdict(summary: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """How a learned optimizer compares with the reference, for each setting of a benchmark.

    A score is the test loss over the trivial predictor's. `as_good` counts tasks whose score is at
    most the tuned reference's, or above it by less than the larger deviation over seeds; `lower`
    those where it is lower; `fails_on` has those where it loses most. The speed-up is VeLO's: steps
    that the best of the reference's trainings needs to reach the same training loss, over those of
    the learned optimizer; where none gets there, the steps of the longest, which is 4 times the
    standard length.
    """
    return [
        {"schedule": at["schedule"], "length": at["length"], **_compared(at["outcomes"], name)}
        for at in summary["settings"]
    ]


def _compared(outcomes: dict[str, Any], name: str) -> dict[str, Any]:
    pairs = {task: (row[name], row[REFERENCE]) for task, row in outcomes.items()}
    slack = {
        task: max(statistics.stdev(row["scores"]) for row in pair) for task, pair in pairs.items()
    }
    worse = {
        task: ours["score"] - theirs["score"]
        for task, (ours, theirs) in pairs.items()
        if ours["score"] > theirs["score"] + slack[task]
    }
    speedups = sorted(ours["velo_speedup"] for ours, _ in pairs.values())
    return {
        "tasks": len(pairs),
        "lower": sum(ours["score"] < theirs["score"] for ours, theirs in pairs.values()),
        "as_good": len(pairs) - len(worse),
        "diverged": sum(ours["diverged"] > 0 for ours, _ in pairs.values()),
        "speedup_median": speedups[len(speedups) // 2],
        "at_least_1_times_faster": sum(x >= 1.0 for x in speedups),
        "at_least_4_times_faster": sum(x >= 4.0 for x in speedups),
        "fails_on": sorted(worse, key=lambda task: -worse[task])[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("release", help="publish a meta-training's weights")
    one.add_argument("folder", type=Path)
    one.add_argument("name")
    other = commands.add_parser("verdict", help="publish benchmarks")
    other.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    if args.command == "release":
        release(args.folder, args.name)
    else:
        publish(args.folders)
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
