"""How meta-parameters move: Adam, and an average of where it has been.

Estimates from perturbations are mostly noise, so that meta-parameters wander about what they have
learned. The average of theta_1, theta_2, ... forgets the first ones and what was noise,

  mean <- d mean + (1 - d) theta,   d = min(average, t / (t + 10)) at meta-update t = 0, 1, ...

Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from search.meta.config import OuterConfig

_EARLY = 10.0


class Averaged(NamedTuple):
    """State of `averaged`.

    Attributes:
      inner: state of the optimizer whose way is averaged.
      count: int32 (), updates made.
      mean: like the parameters, and those themselves before the first update.
    """

    inner: Any
    count: Any
    mean: Any


@cache
def optimizer(config: OuterConfig, steps: int) -> optax.GradientTransformation:
    """The outer optimizer of so many meta-updates."""
    rate = optax.cosine_decay_schedule(config.learning_rate, steps, config.last)
    adam = optax.adam(rate, eps_root=1e-8)
    found = optax.chain(optax.clip(config.clip), adam) if config.clip else adam
    return averaged(found, config.average) if config.average else found


def averaged(inner: optax.GradientTransformation, average: float) -> optax.GradientTransformation:
    """An optimizer that moves parameters as another does, and keeps their average.

    Args:
      inner: the other.
      average: decay of the average, in [0, 1).
    """

    def init(params: optax.Params) -> Averaged:
        return Averaged(inner.init(params), jnp.zeros((), jnp.int32), params)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Averaged]:
        if params is None:
            raise ValueError("the average is of parameters: call update(updates, state, params)")
        updates, new = inner.update(updates, state.inner, params)
        count = state.count.astype(jnp.float32)
        decay = jnp.minimum(average, count / (count + _EARLY))
        mean = jax.tree.map(
            lambda old, p: decay * old + (1 - decay) * p,
            state.mean,
            optax.apply_updates(params, updates),
        )
        return updates, Averaged(new, state.count + 1, mean)

    return optax.GradientTransformation(init, update)
