"""Methods that step by signs."""

from metaopt.baselines.adaptive import mars
from metaopt.baselines.baseline import Baseline
from metaopt.baselines.sign import ano, core, from_optax, grams, lion_k, rprop

ROWS: tuple[Baseline, ...] = (
    *ano.ROWS,
    *core.ROWS,
    *from_optax.ROWS,
    *grams.ROWS,
    *lion_k.ROWS,
    *mars.SIGN_ROWS,
    *rprop.ROWS,
)
