"""The campaign that the released rule comes from: one GPU, under ten minutes.

    metaopt search run experiments/release.py --out runs/release

As the demo's, but with four larger islands, two seeds a candidate, and a longer funnel.
"""

from experiments.demo import DIGITS, TEXT
from metaopt.rules.mutate import MutationWeights
from search.config import EvolutionConfig, FunnelStage, SearchConfig, VerdictConfig
from search.evaluate import TrainingConfig

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
