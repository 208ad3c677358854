"""HyperP: Muon on the hypersphere, with a learning rate that transfers to longer training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.matrix_preconditioned.muon import orthogonalize
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.newton_schulz import CUBIC, DION, Coefficients
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.rates import rate_at

DEVIATIONS = (
    "A transform rather than a wrapper, since a step relative to the weight's norm needs the "
    "learning rate itself. HyperP's scaling of residual branches by depth belongs to the "
    "network and is not done here. The radius is that of the start, which the authors' code "
    "measures anew at every step."
)


class HypersphereState(NamedTuple):
    """State of `step_on_sphere`.

    Attributes:
      count: int32 (), steps taken.
      radius: the Frobenius norm of each matrix at the start.
    """

    count: Any
    radius: optax.Params


def step_on_sphere(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Steps of a length relative to the weight's norm, and back to the sphere of that norm.

        W <- R (W - lr R U / ||U||_F) / ||W - lr R U / ||U||_F||_F,  R = ||W_0||_F

    Args:
      learning_rate: a number, a scalar array or a schedule: the angle of a step, nearly.

    Returns:
      The transformation, which has the directions U for its updates; on tuples of matrices. A
      matrix of zeros stays as it is.
    """

    def init(params: optax.Params) -> HypersphereState:
        radius = jax.tree.map(jnp.linalg.norm, params)
        return HypersphereState(jnp.zeros((), jnp.int32), radius)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, HypersphereState]:
        params = require_params(params, "step_on_sphere")
        rate = rate_at(learning_rate, state.count)

        def step(u: jax.Array, w: jax.Array, radius: jax.Array) -> jax.Array:
            ahead = w - rate * to_norm(u, radius)
            return (to_norm(ahead, radius) - w).astype(w.dtype)

        updates = jax.tree.map(step, updates, params, state.radius)
        return updates, HypersphereState(optax.safe_increment(state.count), state.radius)

    return optax.GradientTransformation(init, update)


def hyperp(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.95,
    *,
    data_ratio: float = 1.0,
    nesterov: bool = True,
    coefficients: Coefficients | Sequence[Coefficients] = DION,
    steps: int = 5,
    eps: float = 1e-8,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """HyperP: Muon's direction, steps on the sphere of the first norm, rates that transfer.

    Of a weight W, with NS for Newton-Schulz iterations and R = ||W_0||_F:

        M <- b M + G
        U = NS(G + b M)
        W <- W - lr data_ratio^{-0.32} R U / ||U||_F
        W <- R W / ||W||_F

    Args:
      learning_rate: a number, a scalar array or a schedule: the best for the base amount of data.
        It needs no change with the width of the network, nor weight decay.
      momentum: b.
      data_ratio: amount of training data over the base amount.
      nesterov: as the second line says; else U = NS(M).
      coefficients: of the iteration; see `muon`.
      steps: of the iteration.
      eps: added to the norm that the iteration divides by.
      fallback: the optimizer of what is no matrix; default: Adam at lr data_ratio^{-0.32}.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `data_ratio` is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = hyperp(0.02)
      >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ren et al., "Rethinking Language Model Scaling under Transferable Hypersphere Optimization",
      2026, arXiv:2603.28743; microsoft/ArchScale. The step: Wen et al., "Fantastic Pretraining
      Optimizers and Where to Find Them II: From Weight Decay to Hyperball Optimization", 2025,
      whenwen.github.io.

    Deviations:
      A transform rather than a wrapper, since a step relative to the weight's norm needs the
      learning rate itself. HyperP's scaling of residual branches by depth belongs to the network
      and is not done here. The radius is that of the start, which the authors' code measures anew
      at every step.
    """
    if isinstance(data_ratio, int | float) and data_ratio <= 0:
        raise ValueError(f"data_ratio is {data_ratio}: a ratio of amounts of data is positive")
    scale = data_ratio**-0.32

    def rate(count: Any) -> Any:
        return scale * rate_at(learning_rate, count)

    method = optax.chain(
        optax.trace(momentum, nesterov),
        orthogonalize(coefficients=coefficients, steps=steps, eps=eps, adjust="none"),
        step_on_sphere(rate),
    )
    return on_matrices(method, optax.adam(rate) if fallback is None else fallback, matrix_axes)


ROWS = (
    Baseline(
        id="hyperp",
        name="HyperP",
        factory=hyperp,
        group="scaling_rule",
        title="Rethinking Language Model Scaling under Transferable Hypersphere Optimization",
        authors="Ren et al.",
        year=2026,
        arxiv="2603.28743",
        needs=("params", "matrix_axes"),
        # The minimum of the tests' quadratic is off the sphere, and the best on it has rank one,
        # which exact orthogonalization circles around.
        test={"momentum": 0.8, "data_ratio": 2.0, "coefficients": CUBIC, "steps": 1},
        test_rate=0.2,
        tuning=tuned(0.3),
        deviations=DEVIATIONS,
        checked=("equations",),
    ),
)
