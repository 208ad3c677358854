"""The end of the meta-training of `celo_v4`: smaller steps, and a tiny loss is told from a small.

    metaopt meta-train run experiments/meta_celo_long.py --out LONG
    metaopt meta-train export LONG -o runs/celo_long.safetensors
    metaopt meta-train run experiments/meta_celo_last.py --out DIR

Where a loss can be brought to nothing, how near it comes counts down to a ten-thousandth of the
trivial predictor's, which is what decides there between one optimizer and another.
"""

from dataclasses import replace

from meta_celo_long import CONFIG as LONG

from search.meta.config import OuterConfig

CONFIG = replace(
    LONG,
    estimator=replace(LONG.estimator, floor=1e-4),
    outer=OuterConfig(learning_rate=4e-4, last=0.03, clip=0.0),
    groups=4,
    steps=120,
    start="runs/celo_long.safetensors",
)
