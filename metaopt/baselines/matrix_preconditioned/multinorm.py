"""Gradient multi-normalization, and its instance SinkGD."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.newton_schulz import CUBIC, newton_schulz
from metaopt.baselines.shared.norms import to_norm

Norm = Literal["row", "column", "spectral", "frobenius", "sign", "standard_row"]
"""What a matrix (m, n) is normalized to; all of these have the Frobenius norm sqrt(m n).

- row: every row of norm sqrt(n).
- column: every column of norm sqrt(m).
- spectral: every singular value the same, sqrt(max(m, n)).
- frobenius: the matrix of norm sqrt(m n).
- sign: every entry 1 or -1.
- standard_row: every row of mean 0 and variance 1.
"""


def _whitened(x: jax.Array) -> jax.Array:
    # SWAN's iterations for (X X^T)^{-1/2}, applied to X, are these.
    x = newton_schulz(x, coefficients=CUBIC, steps=10)
    return to_norm(x, x.size**0.5)


def _standardized(x: jax.Array) -> jax.Array:
    return to_norm(x - jnp.mean(x, axis=1, keepdims=True), x.shape[1] ** 0.5, 1)


_NORMALIZED: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {
        "row": lambda x: to_norm(x, x.shape[1] ** 0.5, 1),
        "column": lambda x: to_norm(x, x.shape[0] ** 0.5, 0),
        "spectral": _whitened,
        "frobenius": lambda x: to_norm(x, x.size**0.5),
        "sign": jnp.sign,
        "standard_row": _standardized,
    }
)


def scale_by_multinorm(norms: Sequence[Norm], steps: int) -> optax.GradientTransformation:
    """Normalizes every matrix to each norm in turn, over and over; stateless.

    Args:
      norms: in the order in which they are taken.
      steps: how often all of them are.

    Raises:
      ValueError: a norm is unknown, there is none, or `steps` is below one.
    """
    unknown = [norm for norm in norms if norm not in _NORMALIZED]
    if unknown or not norms:
        raise ValueError(f"norms are {norms!r}: name one or more of {', '.join(_NORMALIZED)}")
    if steps < 1:
        raise ValueError(f"steps is {steps}: at least one pass over the norms is needed")

    def normalized(x: jax.Array) -> jax.Array:
        for norm in tuple(norms) * steps:
            x = _NORMALIZED[norm](x)
        return x

    return optax.stateless(lambda updates, _: jax.tree.map(normalized, updates))


def multinorm(
    learning_rate: optax.ScalarOrSchedule,
    norms: Sequence[Norm] = ("row", "spectral"),
    steps: int = 1,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Multi-normalized gradient descent: a gradient that has several norms at once, and no state.

    With P_i(X) the matrix best aligned with X among those of unit i-th norm, all norms scaled such
    that they have the Frobenius norm sqrt(m n):

        X = G
        X <- P_k(... P_2(P_1(X)))        L times
        W <- W - lr (X + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; entries of X have root mean square 1.
      norms: which, in this order; see `Norm`. Rows and the spectral norm make SWAN without its
        centering, rows and columns SinkGD.
      steps: L.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: a norm is unknown, there is none, or `steps` is below one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = multinorm(1e-3, ("row", "column", "sign"))
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Scetbon et al., "Gradient Multi-Normalization for Stateless and Scalable LLM Training", 2025,
      arXiv:2502.06742.
    """
    return matrix_optimizer(
        learning_rate,
        scale_by_multinorm(norms, steps),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


def sinkgd(
    learning_rate: optax.ScalarOrSchedule,
    steps: int = 5,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """SinkGD: the gradient with its rows and columns normalized in turn, as Sinkhorn does.

    Of a weight W of shape (m, n):

        X = G
        X_i. <- sqrt(n) X_i. / ||X_i.||;  X_.j <- sqrt(m) X_.j / ||X_.j||        L times
        W <- W - lr (X + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; entries of X have root mean square 1.
      steps: L.
      weight_decay: decoupled, of matrices and of the default fallback.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `steps` is below one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sinkgd(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Scetbon et al., "Gradient Multi-Normalization for Stateless and Scalable LLM Training", 2025,
      arXiv:2502.06742.
    """
    return multinorm(
        learning_rate,
        ("row", "column"),
        steps,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


_PAPER: dict[str, Any] = {
    "group": "matrix_preconditioned",
    "title": "Gradient Multi-Normalization for Stateless and Scalable LLM Training",
    "authors": "Scetbon et al.",
    "year": 2025,
    "arxiv": "2502.06742",
    "needs": ("params", "matrix_axes"),
    "test": {"weight_decay": 0.02},
    "test_rate": 0.02,
    "tuning": tuned(0.1, weight_decay=(1e-4, 1.0)),
    "matrix_bytes": lambda m, n: 0,
    "checked": ("equations",),
}

ROWS = (
    Baseline(id="multinorm", name="Gradient multi-normalization", factory=multinorm, **_PAPER),
    Baseline(id="sinkgd", name="SinkGD", factory=sinkgd, **_PAPER),
)
