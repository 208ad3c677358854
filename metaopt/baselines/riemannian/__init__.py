"""Optimization on manifolds."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.riemannian import (
    induced_metric,
    moe_lora_riemannian,
    riemannian_adam,
    riemannian_sgd,
)

ROWS: tuple[Baseline, ...] = (
    *induced_metric.ROWS,
    *moe_lora_riemannian.ROWS,
    *riemannian_adam.ROWS,
    *riemannian_sgd.ROWS,
)
