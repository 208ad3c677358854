"""Step sizes by layer, width and depth."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
