"""Bounds on gradients and updates."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
