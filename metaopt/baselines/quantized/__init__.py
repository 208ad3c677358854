"""Methods whose state is stored in eight bits."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
