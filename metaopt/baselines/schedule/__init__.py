"""Learning rates as functions of the step."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
