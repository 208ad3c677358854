"""Optimizers of the literature, each as its paper says.

    optimizer = metaopt.baselines.adan(1e-3, weight_decay=0.02)

`BASELINES` is the table of them all: papers, what each needs, ranges for tuning, deviations.
"""

from metaopt.baselines.adaptive.adan import adan as adan
from metaopt.baselines.baseline import Baseline as Baseline
from metaopt.baselines.table import BASELINES as BASELINES
