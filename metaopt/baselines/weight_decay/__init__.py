"""Weight decay and constraints on weights."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
