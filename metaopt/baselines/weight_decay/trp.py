"""Trained rank pruning, which keeps weights near matrices of low rank."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.orthogonalization import polar_factor, widened
from metaopt.baselines.shared.periods import require_period


def trp(
    inner: optax.GradientTransformation,
    *,
    energy: float = 0.9,
    period: int = 20,
    nuclear_weight: float = 3e-4,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """TRP: weights are truncated to the rank that holds most of their energy, again and again.

    With W = U S V^T, singular values of zero left out, and r the smallest rank of which the leading
    part, U_r S_r V_r^T, has the squared norm energy |W|_F^2 or more:

        G <- G + nuclear_weight U V^T        at every period-th step, from the first
        W <- a step of the inner optimizer
        W <- U_r S_r V_r^T                   after every period-th step

    Args:
      inner: the optimizer to wrap.
      energy: the part of the squared Frobenius norm that a truncation keeps, in (0, 1].
      period: steps from one truncation to the next.
      nuclear_weight: of the nuclear norm's subgradient.
      matrix_axes: which axes are rows and columns; see `shared.matrices`. Others are left alone.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the period is below 1, or the energy not in (0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = trp(optax.sgd(0.1, momentum=0.9))
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Xu et al., "Trained Rank Pruning for Efficient Deep Neural Networks", 2018, arXiv:1812.02402;
      yuhuixu1993/Trained-Rank-Pruning.

    Deviations: weights are truncated at the end of a step, where the authors' code truncates them
      before the next gradient: the same but for the first weights, which are not truncated here,
      and for the step after which training ends.
    """
    require_period(period, "trp")
    if isinstance(energy, float | int) and not 0 < energy <= 1:
        raise ValueError(f"trp: energy must be in (0, 1], not {energy}")

    def on(method: optax.GradientTransformation, first: int) -> optax.GradientTransformation:
        def now(step: Any, **extra_args: Any) -> Any:
            del extra_args
            return (step + 1 - first) % period == 0

        return optax.conditionally_transform(
            on_matrices(method, optax.identity(), matrix_axes), now
        )

    def widened(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        # Steps with and without a change have one dtype.
        return optax.tree.cast_like(updates, require_params(params, "trp"))

    return optax.with_extra_args_support(
        optax.chain(
            optax.stateless(widened),
            on(add_nuclear_subgradient(nuclear_weight), first=1),
            inner,
            on(truncate(energy), first=period),
        )
    )


def add_nuclear_subgradient(weight: float) -> optax.GradientTransformation:
    """Gradients of a loss with `weight` times the sum of the matrices' nuclear norms added."""

    def added(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(
            lambda g, w: (g + weight * polar_factor(w)).astype(g.dtype),
            updates,
            require_params(params, "trp"),
        )

    return optax.stateless(added)


def truncate(energy: float) -> optax.GradientTransformation:
    """Steps to the matrices of the smallest rank that hold `energy` of where the steps led."""

    def truncated(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(
            lambda u, w: low_rank(w + u, energy) - w, updates, require_params(params, "trp")
        )

    return optax.stateless(truncated)


def low_rank(w: jax.Array, energy: float) -> jax.Array:
    """A matrix without its smallest singular values, of which the others hold the energy."""
    u, s, vt = jnp.linalg.svd(widened(w), full_matrices=False)
    square = s * s
    kept = jnp.cumsum(square) - square < energy * jnp.sum(square)
    return ((u * (s * kept)[None, :]) @ vt).astype(w.dtype)


ROWS = (
    Baseline(
        id="trp",
        name="TRP",
        factory=trp,
        kind="wrapper",
        group="weight_decay",
        title="Trained Rank Pruning for Efficient Deep Neural Networks",
        authors="Xu et al.",
        year=2018,
        arxiv="1812.02402",
        needs=("params", "matrix_axes"),
        test={"period": 2},
        test_rate=0.1,
        inner=lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
        tuning=tuned(3.0, nuclear_weight=(1e-5, 1e-2)),
        deviations=(
            "Weights are truncated at the end of a step, where the authors' code truncates them "
            "before the next gradient: the same but for the first weights, which are not truncated "
            "here, and for the step after which training ends."
        ),
        checked=("equations",),
    ),
)
