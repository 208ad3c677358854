"""`BASELINES`: every method of the literature that is here, by its id."""

from collections.abc import Mapping
from types import MappingProxyType

from metaopt.baselines import (
    adaptive,
    clipping,
    distributed,
    first_order,
    games,
    matrix_preconditioned,
    memory_efficient,
    quantized,
    riemannian,
    scaling_rule,
    schedule,
    sign,
    step_size_free,
    variational,
    weight_decay,
    wrapper,
)
from metaopt.baselines.baseline import Baseline

GROUPS = (
    first_order,
    sign,
    adaptive,
    matrix_preconditioned,
    memory_efficient,
    quantized,
    step_size_free,
    wrapper,
    weight_decay,
    clipping,
    scaling_rule,
    schedule,
    riemannian,
    variational,
    games,
    distributed,
)
"""The groups' packages, each with its `ROWS`."""

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {row.id: row for group in GROUPS for row in group.ROWS}
)
"""All rows, group by group."""
