"""Methods for games of several players."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
