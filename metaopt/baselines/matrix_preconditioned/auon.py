"""AuON, which brakes the momentum by the hyperbolic cosine of its entries, and its hybrid."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import orthogonalize
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.momentum import averaged_gradient


def cosh_brake(gamma: float = 1.5) -> optax.GradientTransformation:
    """Divides every array U by the root mean square of cosh(gamma U / ||U||_F); stateless.

    Args:
      gamma: how steep the brake is.
    """

    def brake(u: jax.Array) -> jax.Array:
        unit = u / (jnp.sqrt(jnp.sum(jnp.square(u))) + 1e-7)
        # An empty array has a sum but no mean.
        squares = jnp.sum(jnp.cosh(gamma * unit) ** 2) / max(u.size, 1)
        return u / (jnp.sqrt(squares) + 1e-8)

    return optax.stateless(lambda updates, _: jax.tree.map(brake, updates))


def auon(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    gamma: float = 1.5,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """AuON: momentum over the root mean square of its hyperbolic cosine, in linear time.

    Of every parameter W, whatever its shape:

        M <- b M + (1 - b) G
        U = (1 - b) G + b M
        R = sqrt(mean(cosh(gamma U / (||U||_F + 1e-7))^2))
        W <- W - lr (U / (R + 1e-8) + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; the authors' default is 0.24.
      momentum: b.
      gamma: how steep the brake is.
      weight_decay: decoupled.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = auon(0.24)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Maity, "AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates", 2025,
      arXiv:2509.24320; ryyzn9/AuON.

    Deviations:
      As in the author's code, which divides U itself by R; the paper is reported to divide
      U / ||U||_F, and to multiply it by sqrt(max(1, m / n)).
    """
    return optax.with_extra_args_support(
        optax.chain(
            averaged_gradient(momentum, nesterov=True),
            cosh_brake(gamma),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )
    )


def hybrid_auon(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    gamma: float = 1.5,
    steps: int = 5,
    weight_decay: float = 0.0,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Hybrid-AuON: Muon's iterations on matrices, then AuON's brake on everything.

    Of every parameter W, with NS for Muon's Newton-Schulz iterations:

        M <- b M + (1 - b) G
        U = (1 - b) G + b M
        U <- NS(U) if W is a matrix
        R = sqrt(mean(cosh(gamma U / (||U||_F + 1e-7))^2))
        W <- W - lr (U / (R + 1e-8) + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule; the authors' default is 0.24.
      momentum: b.
      gamma: how steep the brake is.
      steps: of the iteration; the paper has one, the author's code five.
      weight_decay: decoupled.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = hybrid_auon(0.24)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Maity, "AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates", 2025,
      arXiv:2509.24320; ryyzn9/AuON.
    """
    rest = cosh_brake(gamma)
    matrices = optax.chain(orthogonalize(steps=steps, adjust="none"), rest)
    return optax.with_extra_args_support(
        optax.chain(
            averaged_gradient(momentum, nesterov=True),
            on_matrices(matrices, rest, matrix_axes),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )
    )


_PAPER: dict[str, Any] = {
    "group": "matrix_preconditioned",
    "title": "AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates",
    "authors": "Maity",
    "year": 2025,
    "arxiv": "2509.24320",
    "test": {"weight_decay": 0.02},
    "tuning": tuned(3.0, weight_decay=(1e-4, 1.0)),
    "checked": ("equations",),
}

ROWS = (
    Baseline(
        id="auon",
        name="AuON",
        factory=auon,
        needs=("params",),
        test_rate=0.2,
        deviations="As in the author's code, which divides U itself by R; the paper is reported to "
        "divide U / ||U||_F, and to multiply it by sqrt(max(1, m / n)).",
        **_PAPER,
    ),
    Baseline(
        id="hybrid_auon",
        name="Hybrid-AuON",
        factory=hybrid_auon,
        needs=("params", "matrix_axes"),
        test_rate=0.05,
        **_PAPER,
    ),
)
