"""The campaign that the released rule comes from: about ten minutes on one GPU.

    metaopt search run experiments/release.py --out runs/release
    python -m experiments.release runs/release --name normalized_sgd

As the demo's, but with a third task, four larger islands, two seeds a candidate, and a longer
funnel. The second command distills the winner and writes the rule and its card into `checkpoints`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import metaopt
from experiments.demo import DIGITS, TEXT
from metaopt.rules import learning_rate_scale, parse
from metaopt.rules.mutate import MutationWeights
from search.baselines import Baseline
from search.config import EvolutionConfig, FunnelStage, SearchConfig, VerdictConfig, to_json
from search.distill import distill
from search.evaluate import TrainingConfig
from search.finish import verdict
from search.store import Store

TASKS = (DIGITS, TEXT, "quadratic_12x8_4_cond1000_noise0.1_seed1")

CONFIG = SearchConfig(
    training=TrainingConfig(TASKS, steps=200, num_seeds=2, width=512),
    evolution=EvolutionConfig(
        population=800,
        children=600,
        evaluations=256,
        cycles=2,
        mutation=MutationWeights(insert=1, delete=1, modify=1, scale=1),
    ),
    funnel=(
        FunnelStage(TrainingConfig(TASKS, steps=200, num_seeds=8, first_seed=100, width=512), 128),
        FunnelStage(TrainingConfig(TASKS, steps=800, num_seeds=8, first_seed=200, width=512), 24),
    ),
    verdict=VerdictConfig(
        tasks=(*TASKS, "digits_conv_8x16_relu_b32", "breast_cancer_mlp_24x24_tanh_b16"), seeds=20
    ),
    islands=4,
    rounds=30,
)

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints" / "rules"


def release(folder: Path, name: str) -> None:
    """Distill a campaign's winner and write it with its card."""
    store = Store.open(folder)
    config, winner = store.config(), store.note("winner")
    # A release gives up nothing for brevity.
    distilled = distill(parse(winner["rule"]), config.training, print, tolerance=0.0)
    program, scale = learning_rate_scale(distilled.program)
    doc = "Found by a campaign of metaopt; the card beside this file says where and how it scores."
    program = replace(program, name=name, doc=doc)
    lines = [Baseline(**row) for row in store.note("baselines")]
    totals = [record.counts for record in store.rounds()]
    card = {
        "name": name,
        "learning_rate": scale,
        "metaopt": metaopt.__version__,
        "campaign": json.loads(to_json(config)),
        "candidates": sum(counts.evaluated for counts in totals),
        "trainings": sum(counts.trainings for counts in totals),
        "found": winner["rule"],
        "changes": [change.__dict__ | {"cost": change.cost} for change in distilled.changes],
        "baselines": store.note("baselines"),
        "verdict": verdict(config, distilled.program, lines),
    }
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    (CHECKPOINTS / f"{name}.rule").write_text(str(program))
    (CHECKPOINTS / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    print(program)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the finished campaign")
    parser.add_argument("--name", required=True, help="name of the released rule")
    arguments = parser.parse_args()
    release(arguments.folder, arguments.name)
