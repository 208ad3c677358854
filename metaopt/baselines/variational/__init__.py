"""Methods that sample."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.variational import langevin_mc

ROWS: tuple[Baseline, ...] = (*langevin_mc.ROWS,)
