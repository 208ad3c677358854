"""Adam+CM, which remembers the momenta of steep places."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.sums import scalar_dtype, total
from metaopt.baselines.shared.trees import zeros_like


class AdamCMState(NamedTuple):
    """State of `scale_by_adam_cm`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v, a tree like the parameters.
      v: moving average of the squared aggregate.
      buffer: critical momenta, a tree like the parameters with a leading axis of the capacity.
      priorities: (capacity,), that of each critical momentum; -1 or so, where there is none yet.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates
    buffer: optax.Updates
    priorities: jax.Array


def scale_by_adam_cm(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    capacity: int = 5,
    decay: float = 0.7,
) -> optax.GradientTransformationExtraArgs:
    """Rescale the aggregate of the momentum and the critical ones; see `adam_cm`.

    Raises:
      ValueError: the capacity is below 1.
    """
    if capacity < 1:
        raise ValueError(f"adam_cm's capacity is {capacity}: at least one momentum must fit")

    def init(params: optax.Params) -> AdamCMState:
        buffer = jax.tree.map(lambda w: jnp.zeros((capacity, *w.shape), w.dtype), params)
        # Below every norm, so that free places are taken first.
        priorities = -jnp.ones(capacity, scalar_dtype(params))
        m, v = zeros_like(params, 2)
        return AdamCMState(jnp.zeros((), jnp.int32), m, v, buffer, priorities)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AdamCMState]:
        del params, extra_args
        first = state.count == 0
        count = optax.safe_increment(state.count)
        held = jnp.clip(state.count, 1, capacity)

        m = optax.tree.update_moment(updates, state.m, b1, 1)
        m = optax.tree.where(first, state.m, m)
        aggregate = jax.tree.map(
            lambda m, kept: m + jnp.sum(kept, axis=0) / held.astype(m.dtype), m, state.buffer
        )
        v = optax.tree.update_moment(aggregate, state.v, b2, 2)
        m_hat = optax.tree.bias_correction(aggregate, b1, count)
        v_hat = optax.tree.bias_correction(v, b2, count)
        u = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), m_hat, v_hat)

        # The authors' code adds norms, not their squares.
        priority = total(jax.tree.map(lambda g: jnp.linalg.norm(g.ravel()), updates))
        place = jnp.argmin(state.priorities)
        enters = priority > state.priorities[place]
        buffer = jax.tree.map(
            lambda kept, g, m: kept.at[place].set(
                jnp.where(enters, jnp.where(first, g, m), kept[place])
            ),
            state.buffer,
            updates,
            m,
        )
        priorities = state.priorities.at[place].max(priority)
        priorities = (decay * priorities).astype(priorities.dtype)
        return u, AdamCMState(count, m, v, buffer, priorities)

    return optax.GradientTransformationExtraArgs(init, update)


def adam_cm(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    capacity: int = 5,
    decay: float = 0.7,
) -> optax.GradientTransformationExtraArgs:
    """Adam+CM: Adam with a memory of momenta from where gradients were large, to explore.

    B holds up to `capacity` momenta, each with a priority. At every step but the first:

        m <- b1 m + (1 - b1) g
        a = m + mean(B)
        v <- b2 v + (1 - b2) a^2
        w <- w - lr (a / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
        m joins B with priority p = sum over arrays of ||g||, in place of the lowest one if B is
        full and p is higher
        all priorities <- decay times themselves

    The first step leaves m, v and w as they are, and puts g into B.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      capacity: how many critical momenta are kept; each takes as much memory as the parameters.
      decay: of the priorities.

    Returns:
      The transformation.

    Raises:
      ValueError: the capacity is below 1.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_cm(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Malviya et al., "Promoting Exploration in Memory-Augmented Adam using Critical Momenta", 2023,
      arXiv:2307.09638; chandar-lab/CMOptimizer.
    """
    return optax.chain(
        scale_by_adam_cm(b1, b2, eps, capacity=capacity, decay=decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="adam_cm",
        name="Adam+CM",
        factory=adam_cm,
        group="adaptive",
        title="Promoting Exploration in Memory-Augmented Adam using Critical Momenta",
        authors="Malviya et al.",
        year=2023,
        arxiv="2307.09638",
        test={"capacity": 2},
        tuning=tuned(0.1),
        checked=("equations",),
    ),
)
