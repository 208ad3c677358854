"""Learning rates as functions of the step."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.schedule import (
    adamwr,
    d2z,
    eden_schedule,
    from_optax,
    reduce_on_plateau,
    rex,
    wsd,
)

ROWS: tuple[Baseline, ...] = (
    *adamwr.ROWS,
    *d2z.ROWS,
    *eden_schedule.ROWS,
    *from_optax.ROWS,
    *reduce_on_plateau.ROWS,
    *rex.ROWS,
    *wsd.ROWS,
)
