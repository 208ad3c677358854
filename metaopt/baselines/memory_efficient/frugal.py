"""FRUGAL, which keeps a state for a few columns of each matrix and steps along signs elsewhere."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.periods import every, require_period


class FrugalState(NamedTuple):
    """State of `on_random_columns`.

    Attributes:
      count: int32 (), steps taken.
      key: what columns are drawn from.
      columns: int32 (k,) for each matrix, those that have a state now.
      full: state of the transformation of these columns, (m, k) for each matrix.
    """

    count: Any
    key: jax.Array
    columns: Any
    full: optax.OptState


def on_random_columns(
    full: optax.GradientTransformation,
    free: optax.GradientTransformation,
    *,
    density: float,
    period: int,
    seed: int,
) -> optax.GradientTransformationExtraArgs:
    """One transformation on random columns of each matrix, another one on all others.

    Args:
      full: sees the columns, (m, k) for each matrix of shape (m, n); starts anew whenever they do.
      free: sees the matrices with zeros in these columns; has no state.
      density: k / n, rounded down.
      period: steps from one draw of columns to the next.
      seed: of the draws.
    """

    def drawn(like: optax.Updates, key: jax.Array) -> Any:
        leaves, treedef = jax.tree.flatten(like)

        def draw(i: int, g: jax.Array) -> jax.Array:
            columns = jax.random.permutation(jax.random.fold_in(key, i), g.shape[1])
            return columns[: int(density * g.shape[1])].astype(jnp.int32)

        return jax.tree.unflatten(treedef, [draw(i, g) for i, g in enumerate(leaves)])

    def chosen(updates: optax.Updates, columns: Any) -> optax.Updates:
        return jax.tree.map(lambda g, c: g[:, c], updates, columns)

    def init(params: optax.Params) -> FrugalState:
        key = jax.random.key(seed)
        columns = drawn(params, key)
        return FrugalState(
            jnp.zeros((), jnp.int32), key, columns, full.init(chosen(params, columns))
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, FrugalState]:
        del params, extra_args

        def restart() -> tuple[Any, optax.OptState]:
            columns = drawn(updates, jax.random.fold_in(state.key, state.count // period))
            return columns, full.init(chosen(updates, columns))

        columns, before = every(period, state.count, restart, (state.columns, state.full))
        steps, after = full.update(chosen(updates, columns), before)
        rest = jax.tree.map(lambda g, c: g.at[:, c].set(0), updates, columns)
        rest, _ = free.update(rest, free.init(rest))
        directions = jax.tree.map(lambda u, c, s: u.at[:, c].set(s), rest, columns, steps)
        count = optax.safe_increment(state.count)
        return directions, FrugalState(count, state.key, columns, after)

    return optax.GradientTransformationExtraArgs(init, update)


def frugal(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    density: float = 0.25,
    update_period: int = 200,
    free_scale: float = 1.0,
    full: optax.GradientTransformation | None = None,
    free: optax.GradientTransformation | None = None,
    weight_decay: float = 0.0,
    seed: int = 0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """FRUGAL: a stateful optimizer in part of each matrix, one without a state in the rest.

    For a gradient G of shape (m, n) and random columns J, drawn anew every `update_period` steps:

        U_J = adam(G_J), which starts from zero moments whenever J is drawn
        U_j = free_scale sign(G_j)        for all other columns j
        W <- W - lr (U + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      density: which part of the columns has a state.
      update_period: steps from one draw of columns to the next.
      free_scale: multiplies the learning rate of what has no state. The paper: 1 for training from
        scratch, 0.1 for fine-tuning.
      full: the method of the columns J, without its learning rate; default: Adam.
      free: that of the others; default: the sign. `optax.identity()` makes it gradient descent.
      weight_decay: decoupled, multiplied by the learning rate.
      seed: of the columns.
      fallback: the optimizer of everything else; default: AdamW at `learning_rate`.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: density is not within [0, 1], or update_period is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = frugal(1e-3, density=0.5)
      >>> params = {"kernel": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zmushko et al., "FRUGAL: Memory-Efficient Optimization by Reducing State Overhead for Scalable
      Training", 2024, arXiv:2411.07837; fzmushko/FRUGAL.

    Deviations:
      Of the subspaces in the authors' code (columns, singular vectors, whole layers), columns only:
      states of layers that come and go have no fixed shape. A transform rather than a wrapper, as
      both parts share one learning rate.
    """
    if isinstance(density, int | float) and not 0 <= density <= 1:
        raise ValueError(f"frugal: density={density} is a part of the columns, within [0, 1]")
    require_period(update_period, "frugal")
    direction = on_random_columns(
        optax.scale_by_adam(b1, b2, eps) if full is None else full,
        optax.chain(optax.scale_by_sign() if free is None else free, optax.scale(free_scale)),
        density=density,
        period=update_period,
        seed=seed,
    )
    return matrix_optimizer(
        learning_rate,
        direction,
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


ROWS = (
    Baseline(
        id="frugal",
        name="FRUGAL",
        factory=frugal,
        group="memory_efficient",
        title=(
            "FRUGAL: Memory-Efficient Optimization by Reducing State Overhead for Scalable Training"
        ),
        authors="Zmushko et al.",
        year=2024,
        arxiv="2411.07837",
        needs=("params", "seed", "matrix_axes"),
        test={"density": 0.5, "update_period": 2, "weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        # Two moments of half the columns, and their numbers.
        matrix_bytes=lambda m, n: 4 * (2 * m + 1) * (n // 2),
        deviations=(
            "Of the subspaces in the authors' code (columns, singular vectors, whole layers), "
            "columns only: states of layers that come and go have no fixed shape. A transform "
            "rather than a wrapper, as both parts share one learning rate."
        ),
        checked=("equations",),
    ),
)
