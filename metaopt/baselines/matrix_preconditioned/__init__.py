"""Methods that treat a weight as a matrix."""

from metaopt.baselines.adaptive import mars
from metaopt.baselines.baseline import Baseline
from metaopt.baselines.matrix_preconditioned import (
    adamuon,
    aro,
    auon,
    conda,
    cosmos,
    distributed_shampoo,
    multinorm,
    muon,
    normuon,
    poet,
    reg,
    root,
    scion,
    shampoo,
    soap,
    swan,
)

ROWS: tuple[Baseline, ...] = (
    *adamuon.ROWS,
    *aro.ROWS,
    *auon.ROWS,
    *conda.ROWS,
    *cosmos.ROWS,
    *distributed_shampoo.ROWS,
    *mars.MATRIX_ROWS,
    *multinorm.ROWS,
    *muon.ROWS,
    *normuon.ROWS,
    *poet.ROWS,
    *reg.ROWS,
    *root.ROWS,
    *scion.ROWS,
    *shampoo.ROWS,
    *soap.ROWS,
    *swan.ROWS,
)
