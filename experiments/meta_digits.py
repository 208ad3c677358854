"""A learned optimizer in minutes on two CPU cores: AdaFac-MLP, meta-trained on digits.

    metaopt meta-train run experiments/meta_digits.py --out runs/meta_digits

The task is a network of 64-32-10 units on handwritten digits. The report shows the meta-loss fall
from above the trivial predictor's ln 10 to a small part of it.
"""

from search.meta.config import (
    CurriculumConfig,
    EstimatorConfig,
    MetaConfig,
    NetworkConfig,
    TasksConfig,
)

CONFIG = MetaConfig(
    network=NetworkConfig("adafac_mlp"),
    estimator=EstimatorConfig("pes", truncation=50, normalization="clipped"),
    curriculum=CurriculumConfig(shortest=100, longest=500),
    tasks=TasksConfig(names=("digits_mlp_32_relu_b128",)),
    groups=2,
    particles=8,
    steps=1500,
)
