"""The tables of the README, from the results that scripts have left.

    python -m experiments.readme [--check] [--demo runs/demo]

Between the markers in `README.md` stands what this writes; `--check` only says whether it does.
`--demo` first takes over the verdict of a finished demo.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from experiments.methods import cell
from metaopt.baselines import BASELINES
from search.store import Store

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
RELEASED = "normalized_sgd"

_BENCH_ROWS = (
    ("candidates_per_s", "candidates trained a second", "{:,.0f}"),
    ("compile_per_candidate_per_s", "the same, each candidate compiled by XLA", "{:.2f}"),
    ("limit_adamw_per_s", "the limit: AdamW by hand, batched the same way", "{:,.0f}"),
    ("candidates_over_compile", "candidates / compiled", "{:,.0f}"),
    ("adamw_program_over_limit", "AdamW as a program / the limit", "{:.2f}"),
    ("variation_per_cpu_s", "mutated, checked, fingerprinted a second and core", "{:,.0f}"),
    ("exported_lion_over_optax_lion_time", "step time, exported Lion / `optax.lion`", "{:.2f}"),
)


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its head."""
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict_table(rows: list[dict[str, Any]], winner: str) -> str:
    """Test losses of the winner, AdamW and Lion, one task a row."""
    names = {"winner": winner, "AdamW": "AdamW", "Lion": "Lion", "start": "where it started"}
    by_task: dict[str, dict[str, str]] = {}
    for row in rows:
        by_task.setdefault(row["task"], {})[row["name"]] = cell(row)
    head = ["task", *names.values()]
    return markdown([head, *([f"`{t}`", *(c[n] for n in names)] for t, c in by_task.items())])


def bench_table() -> str:
    """The figures of `make bench`, one column a machine."""
    found = {
        name: json.loads((RESULTS / f"bench_{name}.json").read_text()) for name in ("cpu", "gpu")
    }
    labels = {"cpu": "2 CPU cores", "gpu": found["gpu"]["device"]}
    rows = [["", *labels.values()]]
    for key, label, form in _BENCH_ROWS:
        rows.append([label, *(form.format(found[name][key]) for name in labels)])
    return markdown(rows)


def held_out_table() -> str:
    """Where the optimizers stand on the held-out suite."""
    summary = json.loads((RESULTS / "held_out" / "summary.json").read_text())
    (setting,) = summary["settings"]
    rows = [["optimizer", "mean rank", "score", "speed-up over AdamW", "diverged", "state"]]
    standings = sorted(setting["standings"].items(), key=lambda row: row[1]["rank"]["value"])
    for name, standing in standings:
        rows.append(
            [
                f"`{name}`",
                *(_with_interval(standing[key], form) for key, form in _STANDING),
                f"{100 * standing['diverged'] / standing['trainings']:.1f} %",
                f"{summary['costs'][name]['state']:.1f}",
            ]
        )
    return markdown(rows)


_STANDING = (("rank", "{:.2f}"), ("score", "{:.3f}"), ("speedup", "{:.2f}"))


def _with_interval(found: dict[str, float], form: str) -> str:
    value, low, high = (form.format(found[key]) for key in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"


def trials_table() -> str:
    """What a benchmark of all held-out tasks takes, and the same trials in a plain loop."""
    found = {
        name: json.loads((RESULTS / f"bench_trials_{name}.json").read_text())
        for name in ("cpu", "gpu")
    }
    labels = {"cpu": f"{found['cpu']['cores']} CPU cores", "gpu": found["gpu"]["device"]}
    rows = [["", *labels.values()]]
    for key, label, form in _TRIALS_ROWS:
        rows.append([label, *(form.format(found[name]["whole"][key]) for name in labels)])
    spans = []
    for of in found.values():
        ratios = [row["ratio"] for row in of["tasks"].values()]
        spans.append(f"{min(ratios):.0f} to {max(ratios):.0f}")
    return markdown([*rows, ["the same, a task for itself", *spans]])


_TRIALS_ROWS = (
    ("plain_s", "one after the other in a plain Optax loop, seconds", "{:,.0f}"),
    ("benchmark_s", "as a benchmark, seconds", "{:,.0f}"),
    ("again_s", "as a benchmark that was run before, seconds", "{:,.0f}"),
    ("ratio_again", "plain loop / benchmark that was run before", "{:.0f}"),
    ("ratio", "plain loop / benchmark", "{:.0f}"),
)


def baselines_table() -> str:
    """How the families of baselines do on digits: the best of each and the median."""
    found = json.loads((RESULTS / "baselines.json").read_text())
    rows = [["family", "baselines", "median test loss", "lowest", "by", "step time", "state"]]
    families: dict[str, list[str]] = {}
    for name in found:
        families.setdefault(BASELINES[name].group, []).append(name)
    for family, names in families.items():
        losses = {name: found[name]["test_loss"] for name in names}
        best = min(losses, key=losses.__getitem__)
        times = [found[name]["step_time"] for name in names if "step_time" in found[name]]
        states = [found[name]["state"] for name in names if found[name]["state"] is not None]
        rows.append(
            [
                family.replace("_", " "),
                str(len(names)),
                f"{statistics.median(losses.values()):.3f}",
                f"{losses[best]:.3f}",
                f"`{best}`",
                f"{statistics.median(times):.1f}" if times else "",
                f"{statistics.median(states):.1f}" if states else "",
            ]
        )
    return markdown(rows)


def steps_sentence() -> str:
    """How long steps of baselines take beside Optax's own."""
    ratios = json.loads((RESULTS / "bench_baselines_cpu.json").read_text())["ratios"].values()
    return (
        f"Where Optax has a method too, and ours is not Optax's own function, a step of ours takes "
        f"{min(ratios):.2f} to {max(ratios):.2f} times as long, by the median "
        f"{statistics.median(ratios):.2f} ({len(ratios)} methods, 50 tensors, "
        f"`python -m experiments.bench_baselines`)."
    )


def learned_table() -> str:
    """How the released learned optimizers compare with Adam tuned on each task."""
    rows = [
        [
            "",
            "Adam's rate",
            "length",
            "lower loss than tuned Adam",
            "as good",
            "speed-up, median",
            "4 times faster",
            "diverged",
        ]
    ]
    for path in sorted((ROOT / "checkpoints" / "learned").glob("*.json")):
        for found in json.loads(path.read_text())["verdict"]:
            cells = [
                f"{found[key]} of {found['tasks']}"
                for key in ("lower", "as_good", "at_least_4_times_faster", "diverged")
            ]
            cells.insert(2, f"{found['speedup_median']:.2f}")
            rows.append([f"`{path.stem}`", found["schedule"], f"{found['length']:g}", *cells])
    return markdown(rows)


def large_table() -> str:
    """How a released learned optimizer does on larger networks than it was trained on."""
    found = json.loads((RESULTS / "learned" / "large.json").read_text())
    factors = [factor for factor in found[0]["learned"] if float(factor) != 1.0]
    rows = [
        [
            "width",
            "parameters",
            f"`{found[0]['optimizer']}`",
            *(f"steps × {x}" for x in factors),
            "Adam, tuned",
            "at",
        ]
    ]
    for row in found:
        losses = [row["learned"]["1.0"], *(row["learned"][x] for x in factors), row["adam"]]
        sizes = [f"{row[key]:,}" for key in ("width", "parameters")]
        rows.append([*sizes, *(f"{loss:.3f}" for loss in losses), f"{row['adam_rate']:.2g}"])
    return markdown(rows)


def meta_table() -> str:
    """How fast meta-training is, on two CPU cores and on a GPU."""
    found = [
        json.loads((RESULTS / f"bench_meta_{name}.json").read_text()) for name in ("cpu", "gpu")
    ]
    where = "2 CPU cores", "H100"
    rows = [["", "meta-parameters", "first truncation"]]
    rows[0] += [text for name in where for text in (f"inner steps a second, {name}", "of Adam's")]
    for name, speed in found[0]["speeds"].items():
        row = [f"`{name}`", f"{speed['parameters']:,}", f"{speed['first']:.1f} s"]
        for speeds in (of["speeds"] for of in found):
            row += (
                [
                    f"{speeds[name]['steps']:,.0f}",
                    f"{speeds[name]['steps'] / speeds['adam']['steps']:.2f}",
                ]
                if name in speeds
                else ["", ""]
            )
        rows.append(row)
    return markdown(rows)


def seeds_sentence() -> str:
    """Whether a meta-training learns from every seed."""
    found = json.loads((RESULTS / "learned" / "seeds.json").read_text())
    ends = ", ".join(f"{row['meta_losses'][-1]:.2f}" for row in found)
    reached = ", ".join(f"{row['updates_to_goal']:,}" for row in found)
    return (
        f"From {len(found)} seeds the meta-loss, above ln 10 at first, is below 1.0 after "
        f"{reached} meta-updates and ends at {ends} (`python -m experiments.meta_seeds`)."
    )


def sections() -> dict[str, str]:
    """What stands between the markers of each name."""
    demo = json.loads((RESULTS / "demo.json").read_text())
    card = json.loads((ROOT / "checkpoints" / "rules" / f"{RELEASED}.json").read_text())
    return {
        "demo": verdict_table(demo["verdict"]["rows"], "winner"),
        "released": verdict_table(card["verdict"]["rows"], f"`{RELEASED}`"),
        "bench": bench_table(),
        "held_out": held_out_table(),
        "trials": trials_table(),
        "baselines": baselines_table(),
        "steps": steps_sentence(),
        "learned": learned_table(),
        "large": large_table(),
        "seeds": seeds_sentence(),
        "meta": meta_table(),
    }


def updated(text: str) -> str:
    """The README with every section as it should be."""
    for name, content in sections().items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"README.md lacks the markers {begin} and {end}")
        text = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    return text


def take_over(folder: Path) -> None:
    """Keep what a finished demo came to."""
    store = Store.open(folder)
    kept = {key: store.note(key) for key in ("winner", "baselines", "verdict")}
    kept["candidates"] = sum(record.counts.evaluated for record in store.rounds())
    (RESULTS / "demo.json").write_text(json.dumps(kept, indent=1) + "\n")


def main() -> None:
    """Rewrite the README, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--demo", type=Path)
    arguments = parser.parse_args()
    if arguments.demo:
        take_over(arguments.demo)
    path = ROOT / "README.md"
    text = path.read_text()
    new = updated(text)
    if arguments.check:
        sys.exit(0 if new == text else "README.md differs: run python -m experiments.readme")
    path.write_text(new)


if __name__ == "__main__":
    main()
