"""Langevin Monte Carlo, which samples parameters instead of finding the best, and Adam's kind."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.rates import rate_at
from metaopt.baselines.shared.trees import zeros_like


class AddLangevinNoiseState(NamedTuple):
    """State of `add_langevin_noise`.

    Attributes:
      count: int32 (), steps taken.
      key: of the noise to come.
    """

    count: Any
    key: Any


def add_langevin_noise(
    learning_rate: optax.ScalarOrSchedule, inverse_temperature: float, seed: int
) -> optax.GradientTransformationExtraArgs:
    """Add N(0, 2 lr / inverse_temperature) to steps of the learning rate lr.

    Each step splits the key, `jax.random.key(seed)` at first, in two: the next one and the noise's.
    """

    def init(params: optax.Params) -> AddLangevinNoiseState:
        del params
        return AddLangevinNoiseState(jnp.zeros((), jnp.int32), jax.random.key(seed))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AddLangevinNoiseState]:
        del params, extra_args
        key, this = jax.random.split(state.key)
        noise = optax.tree.random_like(this, updates, jax.random.normal)
        deviation = jnp.sqrt(2 * rate_at(learning_rate, state.count) / inverse_temperature)
        updates = jax.tree.map(lambda u, n: (u + deviation * n).astype(u.dtype), updates, noise)
        return updates, AddLangevinNoiseState(optax.safe_increment(state.count), key)

    return optax.GradientTransformationExtraArgs(init, update)


def langevin_mc(
    learning_rate: optax.ScalarOrSchedule,
    inverse_temperature: float = 1e4,
    *,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Langevin Monte Carlo: samples from exp(-inverse_temperature loss), by noisy descent.

        w <- w - lr g + N(0, 2 lr / inverse_temperature)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      inverse_temperature: the higher, the nearer to a minimum.
      seed: of the noise.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = langevin_mc(1e-2)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Ishfaq et al., "Provable and Practical: Efficient Exploration in Reinforcement Learning via
      Langevin Monte Carlo", 2023, arXiv:2305.18246; hmishfaq/LMC-LSVI.
    """
    return optax.chain(
        optax.scale_by_learning_rate(learning_rate),
        add_langevin_noise(learning_rate, inverse_temperature, seed),
    )


class AddAdamBiasState(NamedTuple):
    """State of `add_adam_bias`.

    Attributes:
      m: moving average of gradients, a tree like the parameters.
      v: moving average of squared gradients, likewise.
    """

    m: optax.Updates
    v: optax.Updates


def add_adam_bias(
    b1: float, b2: float, eps: float, bias: float
) -> optax.GradientTransformationExtraArgs:
    """Add `bias` times Adam's direction, without its corrections, to gradients."""

    def init(params: optax.Params) -> AddAdamBiasState:
        return AddAdamBiasState(*zeros_like(params, 2))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AddAdamBiasState]:
        del params, extra_args
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        biased = jax.tree.map(lambda g, m, v: g + bias * m / (jnp.sqrt(v) + eps), updates, m, v)
        return biased, AddAdamBiasState(m, v)

    return optax.GradientTransformationExtraArgs(init, update)


def adam_lmc(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    bias: float = 1.0,
    inverse_temperature: float = 1e4,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Adam LMC: Langevin Monte Carlo that Adam's direction pushes out of pathological curvature.

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr (g + bias m / (sqrt(v) + eps)) + N(0, 2 lr / inverse_temperature)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the average of gradients.
      b2: decay of the average of squares.
      eps: added to the denominator.
      bias: weight of Adam's direction.
      inverse_temperature: the higher, the nearer to a minimum.
      seed: of the noise.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_lmc(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Ishfaq et al., "Provable and Practical: Efficient Exploration in Reinforcement Learning via
      Langevin Monte Carlo", 2023, arXiv:2305.18246; hmishfaq/LMC-LSVI.

    Deviations:
      eps is added to the root, as in the authors' code; the paper adds it under the root.
    """
    return optax.chain(
        add_adam_bias(b1, b2, eps, bias),
        optax.scale_by_learning_rate(learning_rate),
        add_langevin_noise(learning_rate, inverse_temperature, seed),
    )


ROWS = (
    Baseline(
        id="langevin_mc",
        name="Langevin Monte Carlo",
        factory=langevin_mc,
        group="variational",
        title="Provable and Practical: Efficient Exploration in Reinforcement Learning via "
        "Langevin Monte Carlo",
        authors="Ishfaq et al.",
        year=2023,
        arxiv="2305.18246",
        needs=("seed",),
        tuning=tuned(10.0, inverse_temperature=(1e3, 1e9)),
        checked=("equations",),
    ),
    Baseline(
        id="adam_lmc",
        name="Adam LMC",
        factory=adam_lmc,
        group="variational",
        title="Provable and Practical: Efficient Exploration in Reinforcement Learning via "
        "Langevin Monte Carlo",
        authors="Ishfaq et al.",
        year=2023,
        arxiv="2305.18246",
        needs=("seed",),
        tuning=tuned(0.3, inverse_temperature=(1e3, 1e9)),
        deviations="eps is added to the root, as in the authors' code; the paper adds it under the "
        "root.",
        checked=("equations",),
    ),
)
