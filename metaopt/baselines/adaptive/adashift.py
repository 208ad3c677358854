"""AdaShift, whose second moment knows nothing of the gradients that it scales."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned

Reduction = Literal["max", "mean", "none"]
"""Over which coordinates of a parameter the squares are taken together, and how."""


class AdaShiftState(NamedTuple):
    """State of `scale_by_adashift`.

    Attributes:
      count: int32 (), steps taken.
      past: the last `keep` gradients, each array with a leading axis; step t is at t mod `keep`.
      m: average of those gradients, a tree like the parameters.
      v: moving average of reduced squares; () for each parameter, or its shape if not reduced.
    """

    count: Any
    past: optax.Updates
    m: optax.Updates
    v: Any


def scale_by_adashift(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-10,
    *,
    keep: int = 10,
    reduction: Reduction = "max",
) -> optax.GradientTransformation:
    """AdaShift without its learning rate; see `adashift`."""
    weights = sum(b1**i for i in range(keep))
    newest, oldest = 1 / weights, b1 ** (keep - 1) / weights

    def init(params: optax.Params) -> AdaShiftState:
        past = jax.tree.map(lambda w: jnp.zeros((keep, *w.shape), w.dtype), params)
        v = jax.tree.map(lambda w: jnp.zeros_like(_reduced(w, reduction)), params)
        return AdaShiftState(jnp.zeros((), jnp.int32), past, optax.tree.zeros_like(params), v)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdaShiftState]:
        del params
        slot = state.count % keep
        shifted = jax.tree.map(lambda past: past[slot], state.past)
        past = jax.tree.map(lambda past, g: past.at[slot].set(g), state.past, updates)
        m = jax.tree.map(
            lambda m, old, g: b1 * (m - oldest * old) + newest * g, state.m, shifted, updates
        )
        v = jax.tree.map(
            lambda v, old: b2 * v + (1 - b2) * _reduced(old**2, reduction), state.v, shifted
        )
        # Until there is a gradient to look back at, there is no step.
        ready = state.count >= keep
        unbias = 1 / (1 - b2 ** jnp.maximum(state.count - keep + 1, 1))

        def direction(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return jnp.where(ready, m / (jnp.sqrt(unbias * v) + eps), 0).astype(g.dtype)

        count = optax.safe_increment(state.count)
        return jax.tree.map(direction, updates, m, v), AdaShiftState(count, past, m, v)

    return optax.GradientTransformation(init, update)


def adashift(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-10,
    *,
    keep: int = 10,
    reduction: Reduction = "max",
) -> optax.GradientTransformationExtraArgs:
    """AdaShift: Adam whose second moment is of gradients n steps old, so independent of m.

    With n = keep, phi the reduction over all coordinates of a parameter, and no step while t <= n:

        m = sum of b1^i g_{t-i} / sum of b1^i, over i = 0, ..., n-1
        v <- b2 v + (1 - b2) phi(g_{t-n}^2)
        v_hat = v / (1 - b2^(t-n))
        w <- w - lr m / (sqrt(v_hat) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: weight of a gradient relative to the next.
      b2: decay of the squares' average.
      eps: added to the denominator.
      keep: how many gradients m is made of, and are kept.
      reduction: phi: the largest square of a parameter, their mean, or each by itself.

    Returns:
      The transformation.

    Raises:
      ValueError: keep is less than 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adashift(0.01)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Zhou et al., "AdaShift: Decorrelation and Convergence of Adaptive Learning Rate Methods",
      2018, arXiv:1810.00143; ZhimingZhou/AdaShift-LGANs-MaxGP-refactored.
    """
    if keep < 1:
        raise ValueError(f"adashift keeps at least one gradient, not {keep}")
    return optax.chain(
        scale_by_adashift(b1, b2, eps, keep=keep, reduction=reduction),
        optax.scale_by_learning_rate(learning_rate),
    )


def _reduced(squares: jax.Array, reduction: Reduction) -> jax.Array:
    if reduction == "max":
        return jnp.max(squares, initial=0)
    if reduction == "mean":
        return jnp.sum(squares) / max(squares.size, 1)
    return squares


ROWS = (
    Baseline(
        id="adashift",
        name="AdaShift",
        factory=adashift,
        group="adaptive",
        title="AdaShift: Decorrelation and Convergence of Adaptive Learning Rate Methods",
        authors="Zhou et al.",
        year=2018,
        arxiv="1810.00143",
        test={"keep": 2},
        test_rate=0.03,
        tuning=tuned(1.0),
        checked=("equations",),
    ),
)
