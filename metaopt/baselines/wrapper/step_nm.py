"""STEP: Adam that learns which N of M weights to keep, once its second moment has settled."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, on_matrices
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class StepNmState(NamedTuple):
    """State of `step_nm`.

    Attributes:
      count: int32 (), steps taken.
      settling: int32 (), steps taken before v was frozen.
      frozen: bool (), whether it is.
      m: moving average of gradients; like v and dense, a tree like the parameters.
      v: moving average of squares.
      dense: the weights before pruning.
      changes: (window,), mean change of v in the last steps.
    """

    count: Any
    settling: Any
    frozen: jax.Array
    m: optax.Updates
    v: optax.Updates
    dense: optax.Params
    changes: jax.Array


def step_nm(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    n: int = 2,
    m: int = 4,
    sparse_decay: float = 2e-4,
    threshold: float | None = None,
    window: int | None = None,
    max_settling: int | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """STEP: Adam until its second moment settles, then SR-STE with that moment for good.

    With P(w) the weights of which, of every M along a matrix's inputs, the N largest are kept and
    the others zeroed, hats for division by 1 - b^t, and gradients g taken at the parameters:

        v settles:    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
                      w <- w - lr m_hat / (sqrt(v_hat) + eps)
                      v is frozen once the mean of |v_t - v_{t-1}| over all numbers and the last
                      `window` steps is below `threshold`
        v is frozen:  g <- g + sparse_decay (w - P(w))
                      m <- b1 m + (1 - b1) g
                      w <- w - lr m_hat / (sqrt(v_hat) + eps)
                      parameters <- P(w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      n: how many of m weights are kept.
      m: how many consecutive inputs make a group. A matrix whose inputs are no multiple of m is
        not pruned.
      sparse_decay: lambda of SR-STE: decay of the weights that are pruned.
      threshold: of the change of v; default: `eps`.
      window: steps over which it is averaged; default: 1 / (1 - b2).
      max_settling: steps after which v is frozen in any case; default: none.
      matrix_axes: which axes of each parameter are outputs and inputs; those that are no matrices
        are not pruned.

    Returns:
      The transformation. Its update needs the parameters. They are the pruned weights, so that
      gradients are taken there; the weights before pruning are in the state.

    Raises:
      ValueError: not 1 <= n <= m.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = step_nm(1e-3)
      >>> params = {"kernel": jnp.ones((8, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Lu et al., "STEP: Learning N:M Structured Sparsity Masks from Scratch with Precondition",
      2023, arXiv:2302.01172.

    Deviations: an optimizer and not a wrapper, since it freezes Adam's second moment. The authors'
    code was not available: that the frozen moment is the debiased one, and that the change is
    averaged arithmetically, could not be confirmed.
    """
    if not 1 <= n <= m:
        raise ValueError(f"1 <= n <= m must hold, not n = {n}, m = {m}")
    threshold = eps if threshold is None else threshold
    window = round(1 / (1 - b2)) if window is None else window

    def keep(matrix: jax.Array) -> jax.Array:
        rows, columns = matrix.shape
        if columns % m:
            return matrix
        groups = matrix.reshape(rows, columns // m, m)
        rank = jnp.argsort(jnp.argsort(-jnp.abs(groups)))
        return jnp.where(rank < n, groups, 0).reshape(matrix.shape)

    pruning = on_matrices(
        optax.stateless(lambda matrices, _: jax.tree.map(keep, matrices)),
        optax.identity(),
        matrix_axes,
    )

    def pruned(w: optax.Params) -> optax.Params:
        return pruning.update(w, pruning.init(w))[0]

    def init(params: optax.Params) -> StepNmState:
        count, settling = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        m, v = zeros_like(params, 2)
        w0 = jax.tree.map(jnp.copy, params)
        changes = jnp.zeros(window, jnp.result_type(jnp.float32, *jax.tree.leaves(params)))
        return StepNmState(count, settling, jnp.zeros((), bool), m, v, w0, changes)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, StepNmState]:
        del extra_args
        params = require_params(params, "step_nm")
        frozen = state.frozen
        count = optax.safe_increment(state.count)
        settling = jnp.where(frozen, state.settling, count)
        rate = rate_at(learning_rate, state.count)
        dense = optax.tree.where(frozen, state.dense, params)

        decay = jnp.where(frozen, sparse_decay, 0)
        g = jax.tree.map(
            lambda g, w, p: (g + decay * (w - p)).astype(g.dtype), updates, dense, pruned(dense)
        )
        m = optax.tree.cast_like(optax.tree.update_moment(g, state.m, b1, 1), state.m)
        v = optax.tree.cast_like(optax.tree.update_moment(g, state.v, b2, 2), state.v)
        v = optax.tree.where(frozen, state.v, v)
        m_hat = optax.tree.bias_correction(m, b1, count)
        v_hat = optax.tree.bias_correction(v, b2, settling)
        dense = jax.tree.map(
            lambda w, m, v: (w - rate * m / (jnp.sqrt(v) + eps)).astype(w.dtype),
            dense,
            m_hat,
            v_hat,
        )

        change = _mean_change(v, state.v).astype(state.changes.dtype)
        changes = state.changes.at[state.count % window].set(change)
        settled = (state.count + 1 >= window) & (jnp.mean(changes) < threshold)
        if max_settling is not None:
            settled |= state.count + 1 >= max_settling
        frozen |= settled

        ahead = optax.tree.where(frozen, pruned(dense), dense)
        return (
            optax.tree.sub(ahead, params),
            StepNmState(count, settling, frozen, m, v, dense, changes),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _mean_change(v: optax.Updates, old: optax.Updates) -> jax.Array:
    """The mean over all numbers of |v - old|."""
    size = max(optax.tree.size(v), 1)
    return jnp.asarray(optax.tree.norm(optax.tree.sub(v, old), ord=1)) / size


ROWS = (
    Baseline(
        id="step_nm",
        name="STEP (N:M)",
        factory=step_nm,
        group="wrapper",
        title="STEP: Learning N:M Structured Sparsity Masks from Scratch with Precondition",
        authors="Lu et al.",
        year=2023,
        arxiv="2302.01172",
        needs=("params", "matrix_axes"),
        test={"window": 2, "max_settling": 3, "sparse_decay": 0.01},
        test_rate=0.03,
        tuning=tuned(0.3),
        deviations=(
            "An optimizer and not a wrapper, since it freezes Adam's second moment. The authors' "
            "code was not available: that the frozen moment is the debiased one, and that the "
            "change is averaged arithmetically, could not be confirmed."
        ),
        checked=("equations",),
    ),
)
