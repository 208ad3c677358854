"""Methods that step by signs."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
