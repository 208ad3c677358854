"""Methods for gradients that are sent."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.distributed import error_feedback

ROWS: tuple[Baseline, ...] = (*error_feedback.ROWS,)
