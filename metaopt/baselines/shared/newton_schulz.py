"""Newton-Schulz iterations: the orthogonal factor of a matrix by products of matrices alone.

Every step applies an odd polynomial to the singular values, p(s) = a s + b s^3 + c s^5, which
drives those in (0, 1] to one and leaves the singular vectors as they are. On accelerators it costs
far less than a singular value decomposition.

Sources: Kovarik, 1970; Bjorck and Bowie, 1971, doi:10.1137/0708036; Jordan et al., "Muon", 2024,
kellerjordan.github.io/posts/muon; Amsel et al., "The Polar Express", 2025, arXiv:2505.16932.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

Coefficients = tuple[float, float, float]
"""a, b and c of p(s) = a s + b s^3 + c s^5."""

QUINTIC: Coefficients = (3.4445, -4.775, 2.0315)
"""Muon's: steep at zero, so that five steps do; singular values end within about 0.7 and 1.2."""

CUBIC: Coefficients = (1.5, -0.5, 0.0)
"""The classical iteration, which converges to the polar factor, quadratically near the end."""

EXACT_QUINTIC: Coefficients = (1.875, -1.25, 0.375)
"""The classical iteration of degree five, which converges cubically."""

DION: tuple[Coefficients, ...] = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""A polynomial for each of five steps, as in microsoft/dion and modded-nanogpt."""

POLAR_EXPRESS: tuple[Coefficients, ...] = (
    *(
        (a / 1.01, b / 1.01**3, c / 1.01**5)
        for a, b, c in (
            (8.28721201814563, -23.595886519098837, 17.300387312530933),
            (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
            (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
            (3.3184196573706015, -2.488488024314874, 0.51004894012372),
            (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
            (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
            (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
        )
    ),
    EXACT_QUINTIC,
)
"""The best polynomial for each step, then the classical one: fast at first, exact in the end. The
division by powers of 1.01 is the authors' margin for rounding in bfloat16."""


def newton_schulz(
    x: jax.Array,
    *,
    coefficients: Coefficients | Sequence[Coefficients] = QUINTIC,
    steps: int = 5,
    eps: float = 1e-7,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    """The orthogonal factor U V^T of x = U S V^T, approximately.

        X <- x / (||x||_F + eps)
        X <- a X + (b X X^T + c (X X^T)^2) X        steps times

    The matrix is transposed for it where it has more rows than columns, so that products are small.

    Args:
      x: (..., m, n), matrices.
      coefficients: (a, b, c) of every step, or one such triple for each; the last one is repeated
        if there are more steps.
      steps: how many.
      eps: added to the Frobenius norm. Zeros stay zeros.
      dtype: what it is computed in; default: that of x, and float32 for what is narrower.

    Returns:
      (..., m, n), with the dtype of x.
    """
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32) if dtype is None else dtype)
    y = y / (jnp.linalg.norm(y, axis=(-2, -1), keepdims=True) + eps)
    return odd_polynomials(y, _each(coefficients, steps)).astype(x.dtype)


def odd_polynomials(x: jax.Array, each: Sequence[Coefficients]) -> jax.Array:
    """Odd polynomials, one after the other, of the singular values of x = U S V^T.

        X <- a X + (b X X^T + c (X X^T)^2) X        for each a, b, c

    Args:
      x: (..., m, n).
      each: a, b and c of p(s) = a s + b s^3 + c s^5, the first to be applied first.
    """
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for a, b, c in each:
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def _each(coefficients: Coefficients | Sequence[Coefficients], steps: int) -> list[Any]:
    """The coefficients of each step."""
    several = isinstance(coefficients[0], Sequence)
    listed = list(coefficients) if several else [coefficients]
    return (listed + [listed[-1]] * steps)[:steps]
