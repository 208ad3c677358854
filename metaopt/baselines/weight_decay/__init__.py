"""Weight decay and constraints on weights."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.weight_decay import (
    adamhd,
    cautious_weight_decay,
    from_optax,
    lawn,
    lipschitz_weight_constraint,
    momentum_spectral_norm,
    scale_vector_weight_decay,
    sgdw,
    trp,
)

ROWS: tuple[Baseline, ...] = (
    *adamhd.ROWS,
    *cautious_weight_decay.ROWS,
    *from_optax.ROWS,
    *lawn.ROWS,
    *lipschitz_weight_constraint.ROWS,
    *momentum_spectral_norm.ROWS,
    *scale_vector_weight_decay.ROWS,
    *sgdw.ROWS,
    *trp.ROWS,
)
