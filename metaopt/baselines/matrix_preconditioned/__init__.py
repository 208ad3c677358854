"""Methods that treat a weight as a matrix."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
