"""Nadam, Adam with Nesterov's momentum on a schedule."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.trees import zeros_like


class NadamState(NamedTuple):
    """State of `scale_by_nadam`.

    Attributes:
      count: int32 (), steps taken.
      product: (), of the momenta of all steps taken.
      m: moving average of gradients; like n, a tree like the parameters.
      n: moving average of squares.
    """

    count: Any
    product: Any
    m: optax.Updates
    n: optax.Updates


def scale_by_nadam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, momentum_decay: float = 0.004
) -> optax.GradientTransformation:
    """Nadam without its learning rate; see `nadam`."""

    def momentum(t: Any) -> Any:
        return b1 * (1 - 0.5 * 0.96 ** (momentum_decay * t))

    def init(params: optax.Params) -> NadamState:
        return NadamState(jnp.zeros((), jnp.int32), jnp.ones(()), *zeros_like(params, 2))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, NadamState]:
        del params
        count = optax.safe_increment(state.count)
        mu, mu_next = momentum(count), momentum(optax.safe_increment(count))
        product = state.product * mu
        m = optax.tree.update_moment(updates, state.m, mu, 1)
        n = optax.tree.update_moment(updates, state.n, b2, 2)
        m = optax.tree.cast_like(m, state.m)
        of_m, of_g = mu_next / (1 - product * mu_next), (1 - mu) / (1 - product)
        of_n = b2 / (1 - b2**count)

        def direction(g: jax.Array, m: jax.Array, n: jax.Array) -> jax.Array:
            return ((of_m * m + of_g * g) / (jnp.sqrt(of_n * n) + eps)).astype(g.dtype)

        return jax.tree.map(direction, updates, m, n), NadamState(count, product, m, n)

    return optax.GradientTransformation(init, update)


def nadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    momentum_decay: float = 0.004,
) -> optax.GradientTransformationExtraArgs:
    """Nadam: Adam with Nesterov's momentum, which warms up from b1 / 2 to b1.

    At step t = 1, 2, ..., with mu_t = b1 (1 - 0.96^(momentum_decay t) / 2) and P_t the product
    of mu_1, ..., mu_t:

        m <- mu_t m + (1 - mu_t) g
        n <- b2 n + (1 - b2) g^2
        m_hat = mu_{t+1} m / (1 - P_{t+1}) + (1 - mu_t) g / (1 - P_t)
        n_hat = b2 n / (1 - b2^t)
        w <- w - lr m_hat / (sqrt(n_hat) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: what the momentum tends to.
      b2: decay of the squares' average.
      eps: added to the denominator.
      momentum_decay: speed of the momentum's warm-up.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = nadam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Dozat, "Incorporating Nesterov Momentum into Adam", 2016, ICLR workshop. Other
      implementations leave the factor b2 out of n_hat and average m with b1; Optax has no schedule
      of the momentum either.
    """
    return optax.chain(
        scale_by_nadam(b1, b2, eps, momentum_decay=momentum_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="nadam",
        name="Nadam",
        factory=nadam,
        group="adaptive",
        title="Incorporating Nesterov Momentum into Adam",
        authors="Dozat",
        year=2016,
        link="openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
        test={"momentum_decay": 10.0},
        tuning=tuned(0.3),
        checked=("equations",),
    ),
)
