"""Rprop, which looks at the gradients' signs alone."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.rates import rate_at


class RpropState(NamedTuple):
    """State of `rprop`.

    Attributes:
      step: size of each coordinate's step, a tree like the parameters.
      previous: the last gradient, zero where its sign had changed.
    """

    step: optax.Updates
    previous: optax.Updates


def rprop(
    learning_rate: optax.ScalarOrSchedule,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
    *,
    backtrack: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Rprop: resilient backpropagation, for gradients of the whole data.

    Noise changes signs, which it takes for a step too far: with small batches it needs a small
    `max_step_size` to learn anything.

    From s = lr, with p the previous gradient:

        if g p > 0:  s <- min(eta_plus s, max_step_size)
                     w <- w - sign(g) s
        if g p < 0:  take the last step back: w <- w + sign(p) s
                     s <- max(eta_minus s, min_step_size)
                     g <- 0
        if g p = 0:  w <- w - sign(g) s
        p <- g

    This is the publication's, with its steps back. Optax's makes each step one update late and
    takes none back; PyTorch's takes none back.

    Args:
      learning_rate: the first step size: a number, a scalar array, or a schedule, of which only
        the first value counts.
      eta_minus: factor of the step size where the gradient's sign has changed.
      eta_plus: factor of the step size where it has not.
      min_step_size: the least step size.
      max_step_size: the largest step size.
      backtrack: take steps back that led to a change of sign; else stay there, as PyTorch does.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = rprop(1e-2)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Riedmiller, Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
      algorithm", 1993, doi:10.1109/ICNN.1993.298623.
    """

    def init(params: optax.Params) -> RpropState:
        first = rate_at(learning_rate, jnp.zeros((), jnp.int32))
        return RpropState(optax.tree.full_like(params, first), optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, RpropState]:
        del params, extra_args

        def resize(g: jax.Array, p: jax.Array, s: jax.Array) -> jax.Array:
            agree = _agreement(g, p)
            factor = jnp.where(agree > 0, eta_plus, jnp.where(agree < 0, eta_minus, 1))
            return jnp.clip(s * factor, min_step_size, max_step_size).astype(s.dtype)

        def change(g: jax.Array, p: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
            back = jnp.sign(p) * before if backtrack else jnp.zeros_like(p)
            return jnp.where(_agreement(g, p) < 0, back, -jnp.sign(g) * after)

        def remember(g: jax.Array, p: jax.Array) -> jax.Array:
            return jnp.where(_agreement(g, p) < 0, 0, g).astype(p.dtype)

        step = jax.tree.map(resize, updates, state.previous, state.step)
        changes = jax.tree.map(change, updates, state.previous, state.step, step)
        return changes, RpropState(step, jax.tree.map(remember, updates, state.previous))

    return optax.GradientTransformationExtraArgs(init, update)


def _agreement(g: jax.Array, p: jax.Array) -> jax.Array:
    """The sign of g p, also where the product would vanish."""
    return jnp.sign(g) * jnp.sign(p)


ROWS = (
    Baseline(
        id="rprop",
        name="Rprop",
        factory=rprop,
        group="sign",
        title="A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
        authors="Riedmiller, Braun",
        year=1993,
        link="doi.org/10.1109/ICNN.1993.298623",
        bench={"max_step_size": 0.01},
        tuning=tuned(0.1, max_step_size=(1e-3, 10.0)),
        checked=("equations",),
    ),
)
