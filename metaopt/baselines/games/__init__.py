"""Methods for games of several players."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.games import complex_momentum, ttur, wgan_weight_clipping

ROWS: tuple[Baseline, ...] = (
    *complex_momentum.ROWS,
    *ttur.ROWS,
    *wgan_weight_clipping.ROWS,
)
