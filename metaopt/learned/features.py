"""What the perceptrons see of a parameter: named, ordered, versioned lists of features.

The order of a list is part of the contract that weights are trained under, so a published list
never changes. Each function gives arrays that broadcast to the tensor's shape; a feature that is
the same along an axis has size 1 there.
"""

import jax
import jax.numpy as jnp
from jax import lax

from metaopt.learned.accumulators import Accumulators, factors

TIMESCALES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""Steps at which the features of time change their sign."""

ADAFAC = 28
"""Features of `adafac`."""

VELO = 30
"""Features of `velo`."""


def adafac(p: jax.Array, g: jax.Array, acc: Accumulators) -> list[jax.Array]:
    """The 28 features of AdaFac-MLP, before they are normalized.

    g, p, m (3), v, m rsqrt(v + 1e-6) (3), rsqrt(v + 1e-6), g rf cf (3), row (3), col (3),
    rsqrt(row + 1e-8) (3), rsqrt(col + 1e-8) (3), m rf cf (3); without factors row stands for col as
    well, and the last three are m rsqrt(row + 1e-6).
    """
    normal, whole = lax.rsqrt(acc.v + 1e-6), _factored(g, acc)
    adam = [m * normal for m in acc.m]
    return [g, p, *acc.m, acc.v, *adam, normal, *whole]


def velo(p: jax.Array, g: jax.Array, acc: Accumulators) -> list[jax.Array]:
    """The 30 features of VeLO's perceptrons, before they are normalized.

    g, clip(g, -0.1, 0.1), p, m (3), v, m rsqrt(v + 1e-6) (3), rsqrt(v + 1e-6), g rf cf (3),
    g rsqrt(v + 1e-6), and from row on as `adafac`.
    """
    normal, whole = lax.rsqrt(acc.v + 1e-6), _factored(g, acc)
    adam = [m * normal for m in acc.m]
    clipped = jnp.clip(g, -0.1, 0.1)
    return [g, clipped, p, *acc.m, acc.v, *adam, normal, *whole[:3], g * normal, *whole[3:]]


def _factored(g: jax.Array, acc: Accumulators) -> list[jax.Array]:
    rf, cf = factors(acc)
    col = acc.col or acc.row
    if acc.col:
        scales = [r * c for r, c in zip(rf, cf, strict=True)]
        ours = scales
    else:
        scales = list(rf)
        ours = [lax.rsqrt(row + 1e-6) for row in acc.row]
    return [
        *(g * s for s in scales),
        *acc.row,
        *col,
        *(lax.rsqrt(x + 1e-8) for x in acc.row),
        *(lax.rsqrt(x + 1e-8) for x in col),
        *(m * s for m, s in zip(acc.m, ours, strict=True)),
    ]


def time(step: jax.Array) -> list[jax.Array]:
    """tanh(t / s - 1) for each timescale s, float32 scalars; t counts from 0."""
    t = step.astype(jnp.float32)
    return [jnp.tanh(t / s - 1.0) for s in TIMESCALES]
