"""SOAP, which runs Adam in the eigenbasis of Shampoo's preconditioner."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.axes import along, gram
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.orthogonalization import widened
from metaopt.baselines.shared.periods import every, require_period
from metaopt.baselines.shared.power_iteration import top_subspace
from metaopt.baselines.shared.trees import on_leaves, unzipped, zeros_like


class SOAPState(NamedTuple):
    """State of `scale_by_soap`.

    Attributes:
      count: int32 (), steps taken, the first among them, which only sets up the bases.
      m: moving average of gradients, in the parameters' own basis.
      v: moving average of squares in the eigenbasis.
      statistics: for each parameter a tuple with a moving average of G_(i) G_(i)^T for each axis,
        (n, n); None of axes that have none.
      bases: Q_i, their eigenvectors in columns, alike.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    statistics: Any
    bases: Any


def scale_by_soap(
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    *,
    period: int = 10,
    max_size: int = 10_000,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `soap`, whose arguments these are."""
    require_period(period, "soap")

    def init(params: optax.Params) -> SOAPState:
        statistics = jax.tree.map(lambda w: per_axis(w, jnp.zeros), params)
        bases = jax.tree.map(lambda w: per_axis(w, lambda s, d: jnp.eye(*s, dtype=d)), params)
        m, v = zeros_like(params, 2)
        return SOAPState(jnp.zeros((), jnp.int32), m, v, statistics, bases)

    def per_axis(w: jax.Array, make: Callable[..., jax.Array]) -> tuple[jax.Array | None, ...]:
        rotated = w.ndim > 1 and w.size > 0
        return tuple(make((n, n), w.dtype) if rotated and n <= max_size else None for n in w.shape)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SOAPState]:
        del params, extra_args
        first = state.count == 0
        # Averages of gradients start at the second step.
        averaged = state.count
        correction = jnp.where(first, 0, debiasing(b1, b2, jnp.maximum(averaged, 1)))

        def step(
            g: jax.Array, m: jax.Array, v: jax.Array, statistics: Any, bases: Any
        ) -> tuple[Any, ...]:
            m = jnp.where(first, 0, b1 * m + (1 - b1) * g).astype(m.dtype)
            v = jnp.where(first, 0, b2 * v + (1 - b2) * _rotated(g, bases) ** 2).astype(v.dtype)
            ratio = _rotated(m, bases) / (jnp.sqrt(v) + eps)
            direction = (correction * _rotated_back(ratio, bases)).astype(g.dtype)
            statistics = tuple(
                None if h is None else (b2 * h + (1 - b2) * gram(g, i)).astype(h.dtype)
                for i, h in enumerate(statistics)
            )
            v, bases = jax.lax.cond(
                first,
                lambda: (v, _eigenbases(statistics)),
                lambda: every(
                    period, averaged, lambda: _refreshed(v, statistics, bases), (v, bases)
                ),
            )
            return direction, m, v, statistics, bases

        stepped = jax.tree.map(step, updates, *state[1:])
        directions, *rest = unzipped(updates, stepped, 5)
        return directions, SOAPState(optax.safe_increment(state.count), *rest)

    return on_leaves(optax.GradientTransformationExtraArgs(init, update))


def soap(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.01,
    period: int = 10,
    max_size: int = 10_000,
) -> optax.GradientTransformationExtraArgs:
    """SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner.

    For a matrix, with hats for Adam's debiasing:

        M <- b1 M + (1 - b1) G
        V <- b2 V + (1 - b2) (Q_L^T G Q_R)^2
        N = (Q_L^T M Q_R)_hat / (sqrt(V_hat) + eps)
        W <- W - lr (Q_L N Q_R^T + weight_decay W)
        L <- b2 L + (1 - b2) G G^T;  R <- b2 R + (1 - b2) G^T G
        Q_L <- qr(L Q_L);  Q_R <- qr(R Q_R)        every period steps

    An array of more axes has a basis for each; vectors and scalars have none, which makes it Adam.
    The first step moves nothing: it sets L, R and, by a full decomposition, Q_L and Q_R, so that no
    gradient is seen in a basis that it made. Before each QR step the columns of the bases, and V
    with them, are sorted by decreasing Q^T L Q.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the averages of squares, V, L and R.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      period: steps from one refresh of the bases to the next.
      max_size: axes longer than this have no basis: embeddings are rotated on one side alone.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the period is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = soap(3e-3)
      >>> params = {"kernel": jnp.eye(2, 3)}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, arXiv:2409.11321;
      nikhilvyas/SOAP.

    Deviations: weight decay acts on the weights before the step, at the first step too; the
      authors' code decays those after it, from the second on.
    """
    return optax.with_extra_args_support(
        optax.chain(
            scale_by_soap(b1, b2, eps, period=period, max_size=max_size),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )
    )


def _rotated(x: jax.Array, bases: Any) -> jax.Array:
    """In the eigenbasis: Q_L^T x Q_R of a matrix."""
    for i, q in enumerate(bases):
        x = x if q is None else along(x, i, q.mT)
    return x


def _rotated_back(x: jax.Array, bases: Any) -> jax.Array:
    for i, q in enumerate(bases):
        x = x if q is None else along(x, i, q)
    return x


def _eigenbases(statistics: Any) -> Any:
    """Eigenvectors, by decreasing eigenvalue."""
    return tuple(
        None if h is None else jnp.linalg.eigh(widened(h))[1][:, ::-1].astype(h.dtype)
        for h in statistics
    )


def _refreshed(v: jax.Array, statistics: Any, bases: Any) -> tuple[jax.Array, Any]:
    """Bases after one step of subspace iteration, and V with the columns in their new order."""
    new = []
    for i, (h, q) in enumerate(zip(statistics, bases, strict=True)):
        if h is None:
            new.append(None)
            continue
        order = jnp.argsort(jnp.sum(q * (h @ q), axis=0), descending=True)
        v = jnp.take(v, order, axis=i)
        new.append(top_subspace(h, q[:, order]))
    return v, tuple(new)


ROWS = (
    Baseline(
        id="soap",
        name="SOAP",
        factory=soap,
        group="matrix_preconditioned",
        title="SOAP: Improving and Stabilizing Shampoo using Adam",
        authors="Vyas et al.",
        year=2024,
        arxiv="2409.11321",
        needs=("params",),
        test={"period": 2, "max_size": 5},
        test_rate=0.1,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "Weight decay acts on the weights before the step, at the first step too; the authors' "
            "code decays those after it, from the second on."
        ),
        checked=("pytorch_optimizer 4.1.0", "zij 0.1.1"),
    ),
)
