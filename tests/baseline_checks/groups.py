"""The checks of all groups, by name."""

from baseline_checks import (
    adaptive_classic,
    adaptive_recent,
    clipping,
    first_order,
    games,
    low_memory,
    low_rank,
    matrices,
    preconditioned,
    quantized,
    riemannian,
    scaling_rule,
    schedule,
    sign,
    step_size_free,
    weight_constraints,
    weight_decay,
    wrapper,
)
from baseline_checks.trajectories import Case, Reading

_GROUPS = (
    adaptive_classic,
    adaptive_recent,
    clipping,
    first_order,
    games,
    low_memory,
    low_rank,
    matrices,
    preconditioned,
    quantized,
    riemannian,
    scaling_rule,
    schedule,
    sign,
    step_size_free,
    weight_constraints,
    weight_decay,
    wrapper,
)

REFERENCES: dict[str, Case] = {k: v for group in _GROUPS for k, v in group.REFERENCES.items()}
READINGS: dict[str, Reading] = {k: v for group in _GROUPS for k, v in group.READINGS.items()}
