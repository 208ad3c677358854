"""Methods for gradients that are sent."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
