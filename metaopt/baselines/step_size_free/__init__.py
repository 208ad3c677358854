"""Methods that find their own step size."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.step_size_free import (
    dadapt_adagrad,
    dadapt_adam,
    dadapt_lion,
    dadapt_sgd,
    dog,
    prodigy,
)

ROWS: tuple[Baseline, ...] = (
    *dadapt_adagrad.ROWS,
    *dadapt_adam.ROWS,
    *dadapt_lion.ROWS,
    *dadapt_sgd.ROWS,
    *dog.ROWS,
    *prodigy.ROWS,
)
