"""COSMOS, which runs SOAP in the leading eigenspace of a gradient and Muon in the rest."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes, matrix_optimizer
from metaopt.baselines.shared.newton_schulz import newton_schulz
from metaopt.baselines.shared.norms import to_norm
from metaopt.baselines.shared.orthogonalization import orthonormal_basis, widened
from metaopt.baselines.shared.trees import unzipped


class CosmosState(NamedTuple):
    """State of `scale_by_cosmos`, over a tuple of matrices of shape (m, n).

    Attributes:
      count: int32 (), steps taken.
      m: sum of gradients with decaying weights, (m, n).
      v: moving average of squares in the leading eigenspace, (m, r).
      bases: P, the leading eigenvectors of G^T G in columns, (n, r).
      grams: S, the moving average of G^T G within them, (r, r).
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    bases: optax.Updates
    grams: optax.Updates


def scale_by_cosmos(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    rank: int = 64,
    gamma: float = 0.2,
    nesterov: bool = True,
) -> optax.GradientTransformation:
    """The direction of `cosmos`, whose arguments these are, of a tuple of matrices."""
    if rank < 1:
        raise ValueError(f"cosmos: the rank must be 1 or more, not {rank}")

    def init(params: optax.Params) -> CosmosState:
        def zeros(rows: int | None, columns: int | None) -> optax.Updates:
            def make(w: jax.Array) -> jax.Array:
                r = min(rank, w.shape[1])
                axes = (r if i is None else w.shape[i] for i in (rows, columns))
                return jnp.zeros(tuple(axes), w.dtype)

            return jax.tree.map(make, params)

        count = jnp.zeros((), jnp.int32)
        return CosmosState(count, zeros(0, 1), zeros(0, None), zeros(1, None), zeros(None, None))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, CosmosState]:
        del params
        first = state.count == 0
        count = optax.safe_increment(state.count)
        weight = (1 - b1**count) / (1 - b1)
        debias = jnp.sqrt(1 - b2**count)

        def step(
            g: jax.Array, m: jax.Array, v: jax.Array, basis: jax.Array, gram: jax.Array
        ) -> tuple[jax.Array, ...]:
            m = b1 * m + g
            p = jax.lax.cond(
                first,
                lambda: _leading_eigenvectors(g, basis.shape[1]),
                lambda: orthonormal_basis(
                    (b2 * basis @ gram + (1 - b2) * g.T @ (g @ basis)).astype(g.dtype)
                ),
            )
            turn = basis.T @ p
            within = g @ p
            gram = b2 * turn.T @ gram @ turn + (1 - b2) * within.T @ within
            v = b2 * v + (1 - b2) * within**2
            ahead = (g + b1 * m) / (1 + b1 * weight) if nesterov else m / weight
            leading = ahead @ p
            adam = leading / (jnp.sqrt(v) / debias + eps) @ p.T
            size = g.size**0.5
            if p.shape[1] < g.shape[1]:
                rest = (ahead - leading @ p.T).astype(g.dtype)
                adam = adam + gamma * to_norm(newton_schulz(rest), size, eps=eps)
            direction = to_norm(adam, size, eps=eps)
            return tuple(x.astype(g.dtype) for x in (direction, m, v, p, gram))

        stepped = jax.tree.map(step, updates, *state[1:])
        directions, *rest = unzipped(updates, stepped, 5)
        return directions, CosmosState(count, *rest)

    return optax.GradientTransformation(init, update)


def cosmos(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    rank: int = 64,
    gamma: float = 0.2,
    rate_ratio: float = 0.1,
    nesterov: bool = True,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """COSMOS: SOAP where a gradient is large, in few dimensions, and Muon where it is small.

    Of a weight W of shape (m, n), with P of shape (n, rank), NS of Newton-Schulz, norm(X) scaled to
    ||X||_F = sqrt(m n), hats for debiasing, and at first P the leading eigenvectors of G^T G:

        M <- b1 M + G
        P' <- qr(b2 P S + (1 - b2) G^T G P);  T = P^T P'
        S <- b2 T^T S T + (1 - b2) P'^T G^T G P';  P <- P'
        V <- b2 V + (1 - b2) (G P)^2
        N = (G + b1 M)_hat
        A = N P / (sqrt(V_hat) + eps) P^T
        B = norm(NS(N - N P P^T))
        W <- W - lr (rate_ratio norm(A + gamma B) + weight_decay W)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's sum.
      b2: decay of the averages of squares.
      eps: added to the denominators.
      weight_decay: decoupled, of matrices and of the default fallback.
      rank: of the leading eigenspace; at most the columns.
      gamma: the weight of Muon's part.
      rate_ratio: the learning rate of matrices over that of the default fallback.
      nesterov: whether N looks ahead; if not, it is M debiased.
      fallback: the optimizer of what is no matrix; default: AdamW at `learning_rate`.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the rank is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = cosmos(1e-2, rank=2)
      >>> params = {"kernel": jnp.eye(2, 3), "bias": jnp.zeros(3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liu et al., "COSMOS: A Hybrid Adaptive Optimizer for Memory-Efficient Training of LLMs", 2025,
      arXiv:2502.17410; lliu606/COSMOS.

    Deviations: N looks ahead by default, as in the authors' code; the paper's is M debiased, as
      without `nesterov`, where their code takes the gradient itself. Newton-Schulz runs in float32
      where theirs runs in bfloat16. With a rank of all columns there is no part of Muon's.
    """
    method = scale_by_cosmos(b1, b2, eps, rank=rank, gamma=gamma, nesterov=nesterov)
    return matrix_optimizer(
        learning_rate,
        optax.chain(method, optax.scale(rate_ratio)),
        weight_decay=weight_decay,
        fallback=fallback,
        matrix_axes=matrix_axes,
    )


def _leading_eigenvectors(g: jax.Array, rank: int) -> jax.Array:
    """Those of G^T G, in columns."""
    wide = widened(g)
    return jnp.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :rank].astype(g.dtype)


def _bytes(m: int, n: int) -> int:
    r = 2
    return 4 * (m * n + m * r + n * r + r * r)


ROWS = (
    Baseline(
        id="cosmos",
        name="COSMOS",
        factory=cosmos,
        group="matrix_preconditioned",
        title="COSMOS: A Hybrid Adaptive Optimizer for Memory-Efficient Training of LLMs",
        authors="Liu et al.",
        year=2025,
        arxiv="2502.17410",
        needs=("params", "matrix_axes"),
        test={"rank": 2},
        test_rate=0.3,
        tuning=tuned(1.0, weight_decay=(1e-4, 1.0)),
        matrix_bytes=_bytes,
        deviations=(
            "N looks ahead by default, as in the authors' code; the paper's is M debiased, as "
            "without nesterov, where their code takes the gradient itself. Newton-Schulz runs in "
            "float32 where theirs runs in bfloat16. With a rank of all columns there is no part of "
            "Muon's."
        ),
        checked=("equations",),
    ),
)
