"""What goes around any optimizer."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
