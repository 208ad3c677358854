"""Methods that scale each coordinate by its gradients' history."""

from metaopt.baselines.adaptive import adan
from metaopt.baselines.baseline import Baseline

ROWS: tuple[Baseline, ...] = (*adan.ROWS,)
