"""Methods that find their own step size."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
