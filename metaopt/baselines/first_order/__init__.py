"""Gradient descent, its momenta, and inertial systems."""

from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = ()
