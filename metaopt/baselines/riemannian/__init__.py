"""Optimization on manifolds."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
