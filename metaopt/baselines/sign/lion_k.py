"""Lion-K: Lion with another convex function than the norm whose subgradient is the sign."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


class Convex(NamedTuple):
    """A convex function of an array. That of a tree is the sum over its arrays.

    Attributes:
      value: array -> ().
      subgradient: array -> an array like it.
    """

    value: Callable[[jax.Array], jax.Array]
    subgradient: Callable[[jax.Array], jax.Array]


def l1() -> Convex:
    """|x|_1, whose subgradient is sign(x). Lion-K is Lion: the loss where |w|_inf <= 1/decay."""
    return Convex(lambda x: jnp.sum(jnp.abs(x)), jnp.sign)


def lp(p: float) -> Convex:
    """|x|_p, whose gradient is sign(x) (|x| / |x|_p)^(p - 1): the loss where |w|_q <= 1/decay.

    Args:
      p: above 1; q = p / (p - 1). At p = 2, arrays of momentum are normalized.

    Raises:
      ValueError: p is not above 1.
    """
    if not p > 1:
        raise ValueError(f"p is {p}; |x|_p has a gradient for p > 1: at p = 1, choose l1()")

    def relative(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The largest |x|, and |x| over it, whose powers neither overflow nor vanish."""
        largest = jnp.max(jnp.abs(x), initial=0)
        return largest, jnp.abs(x) / jnp.where(largest > 0, largest, 1)

    def value(x: jax.Array) -> jax.Array:
        largest, y = relative(x)
        return largest * jnp.sum(y**p) ** (1 / p)

    def subgradient(x: jax.Array) -> jax.Array:
        largest, y = relative(x)
        norm = jnp.where(largest > 0, jnp.sum(y**p), 1) ** (1 / p)
        return jnp.sign(x) * (y / norm) ** (p - 1)

    return Convex(value, subgradient)


def huber(delta: float) -> Convex:
    """The sum of |x| - delta/2, or x^2 / (2 delta) where |x| <= delta; its gradient is clipped x.

    That of the loss + delta/2 decay |w|_2^2 where |w|_inf <= 1/decay.
    """

    def value(x: jax.Array) -> jax.Array:
        return jnp.sum(optax.huber_loss(x, delta=delta) / delta)

    return Convex(value, lambda x: jnp.clip(x / delta, -1, 1))


def deadzone(delta: float) -> Convex:
    """The sum of max(|x| - delta, 0), whose subgradient is sign(x) where |x| > delta, else 0.

    That of the loss + delta |w|_1 where |w|_inf <= 1/decay.
    """

    def value(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.maximum(jnp.abs(x) - delta, 0))

    return Convex(value, lambda x: jnp.where(jnp.abs(x) > delta, jnp.sign(x), jnp.zeros_like(x)))


CONVEX: Mapping[str, Convex] = MappingProxyType(
    {"l1": l1(), "l2": lp(2.0), "huber": huber(1e-3), "deadzone": deadzone(1e-4)}
)
"""Convex functions by name."""


class ScaleByLionKState(NamedTuple):
    """State of `scale_by_lion_k`.

    Attributes:
      m: moving average of gradients, a tree like the parameters.
    """

    m: optax.Updates


def scale_by_lion_k(
    kappa: Convex, b1: float = 0.9, b2: float = 0.99
) -> optax.GradientTransformationExtraArgs:
    """The direction of `lion_k`."""

    def init(params: optax.Params) -> ScaleByLionKState:
        return ScaleByLionKState(optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByLionKState]:
        del params, extra_args
        ahead = optax.tree.update_moment(updates, state.m, b1, 1)
        m = optax.tree.update_moment(updates, state.m, b2, 1)
        return jax.tree.map(kappa.subgradient, ahead), ScaleByLionKState(m)

    return optax.GradientTransformationExtraArgs(init, update)


def lion_k(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    *,
    kappa: str | Convex = "l1",
    weight_decay: float = 1e-3,
) -> optax.GradientTransformationExtraArgs:
    """Lion-K: minimizes the loss + K*(weight_decay w) / weight_decay, K* the conjugate of K.

        w <- w - lr (dK(b1 m + (1 - b1) g) + weight_decay w)
        m <- b2 m + (1 - b2) g

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: how much of the momentum is in the direction.
      b2: decay of the momentum.
      kappa: the convex function K: l1 (Lion), l2, huber or deadzone, or a `Convex` with another
        constant than these names have: `lp(1.5)`, `huber(1e-2)`, ... The nuclear norm makes it
        Muon.
      weight_decay: decoupled, multiplied by the learning rate. It takes part in what is minimized.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: there is no convex function of that name.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = lion_k(1e-4, kappa=huber(1e-2))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Chen et al., "Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts", 2023,
      arXiv:2310.05898.

    Deviations:
      K of a network is the sum over its arrays. The constants of the named functions are ours.
    """
    if isinstance(kappa, str):
        if kappa not in CONVEX:
            raise ValueError(f"no convex function {kappa!r}: choose one of {', '.join(CONVEX)}")
        kappa = CONVEX[kappa]
    return optax.chain(
        scale_by_lion_k(kappa, b1, b2),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="lion_k",
        name="Lion-K",
        factory=lion_k,
        group="sign",
        title="Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
        authors="Chen et al.",
        year=2023,
        arxiv="2310.05898",
        needs=("params",),
        test={"kappa": "huber"},
        tuning=tuned(0.1, weight_decay=(1e-3, 10.0)),
        deviations="K of a network is the sum over its arrays. The constants of the named "
        "functions are ours.",
        checked=("equations",),
    ),
)
