"""Bounds on gradients and updates."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.clipping import adagc, coordinate_clip, from_optax, spam, stable_adamw

ROWS: tuple[Baseline, ...] = (
    *adagc.ROWS,
    *coordinate_clip.ROWS,
    *from_optax.ROWS,
    *spam.ROWS,
    *stable_adamw.ROWS,
)
