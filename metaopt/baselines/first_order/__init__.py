"""Gradient descent, its momenta, and inertial systems."""

from metaopt.baselines.baseline import Baseline
from metaopt.baselines.first_order import (
    from_optax,
    gradient_noise,
    gravity,
    inna,
    innaprop,
    nag_gs,
    sgd_freeze_embed,
    sgd_sai,
    sgdp,
    swats,
)

ROWS: tuple[Baseline, ...] = (
    *from_optax.ROWS,
    *gradient_noise.ROWS,
    *gravity.ROWS,
    *inna.ROWS,
    *innaprop.ROWS,
    *nag_gs.ROWS,
    *sgd_freeze_embed.ROWS,
    *sgd_sai.ROWS,
    *sgdp.ROWS,
    *swats.ROWS,
)
