"""Methods that sample."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
