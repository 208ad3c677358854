"""Methods whose state is stored in eight bits."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.quantized import (
    block_wise,
    fp8,
    muon_8bit,
)

ROWS: tuple[Baseline, ...] = (
    *block_wise.ROWS,
    *fp8.ROWS,
    *muon_8bit.ROWS,
)
