"""The campaign of `make demo`: a few minutes on two CPU cores, on real data.

Rules are trained on handwritten digits and on text. The best go through fresh seeds, then twice as
many steps, and the winner meets AdamW and Lion there and on two tasks that the search never saw.
"""

from metaopt.rules.mutate import MutationWeights
from search.config import (
    EvolutionConfig,
    FunnelStage,
    SearchConfig,
    VerdictConfig,
)
from search.evaluate import TrainingConfig

DIGITS, TEXT = "digits_mlp_32_relu_b32", "kjv_mlp_c8_e16_h64_b32"

CONFIG = SearchConfig(
    training=TrainingConfig(tasks=(DIGITS, TEXT), steps=200, width=16),
    evolution=EvolutionConfig(
        population=400,
        children=300,
        evaluations=48,
        cycles=2,
        # As published, plus steps in the constants alone: they pay off soonest.
        mutation=MutationWeights(insert=1, delete=1, modify=1, scale=1),
    ),
    funnel=(
        FunnelStage(TrainingConfig((DIGITS, TEXT), steps=200, num_seeds=4, first_seed=100), 48),
        FunnelStage(TrainingConfig((DIGITS, TEXT), steps=400, num_seeds=8, first_seed=200), 8),
    ),
    verdict=VerdictConfig(
        tasks=(DIGITS, TEXT, "digits_conv_8x16_relu_b32", "breast_cancer_mlp_24x24_tanh_b16"),
        seeds=10,
    ),
    rounds=36,
)
