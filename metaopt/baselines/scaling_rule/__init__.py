"""Step sizes by layer, width and depth."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.scaling_rule import (
    blockwise_lr,
    depth_mup,
    from_optax,
    hyperp,
    lars,
    mup_adam,
    per_layer_sp_lr,
    wd_width_rule,
)

ROWS: tuple[Baseline, ...] = (
    *blockwise_lr.ROWS,
    *depth_mup.ROWS,
    *from_optax.ROWS,
    *hyperp.ROWS,
    *lars.ROWS,
    *mup_adam.ROWS,
    *per_layer_sp_lr.ROWS,
    *wd_width_rule.ROWS,
)
