"""Methods whose state is smaller than two copies of the parameters."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
