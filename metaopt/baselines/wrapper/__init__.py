"""What goes around any optimizer."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.wrapper import (
    alpha_adam,
    aswa,
    cautious,
    gradient_accumulation,
    lookahead,
    md_decoupling,
    sgg,
    step_nm,
)

ROWS: tuple[Baseline, ...] = (
    *alpha_adam.ROWS,
    *aswa.ROWS,
    *cautious.ROWS,
    *gradient_accumulation.ROWS,
    *lookahead.ROWS,
    *md_decoupling.ROWS,
    *sgg.ROWS,
    *step_nm.ROWS,
)
