"""RAdam, which steps by momentum alone until its second moment is worth something."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.moments import debiasing
from metaopt.baselines.shared.trees import zeros_like


class RAdamState(NamedTuple):
    """State of `scale_by_radam`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients; like v, a tree like the parameters.
      v: moving average of squares.
    """

    count: Any
    m: optax.Updates
    v: optax.Updates


def scale_by_radam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, threshold: float = 5.0
) -> optax.GradientTransformation:
    """RAdam without its learning rate; see `radam`."""

    def init(params: optax.Params) -> RAdamState:
        return RAdamState(jnp.zeros((), jnp.int32), *zeros_like(params, 2))

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RAdamState]:
        del params
        count = optax.safe_increment(state.count)
        m = optax.tree.update_moment(updates, state.m, b1, 1)
        v = optax.tree.update_moment(updates, state.v, b2, 2)
        longest = 2 / (1 - b2) - 1
        length = longest - 2 * count * b2**count / (1 - b2**count)
        tractable = jnp.greater_equal(length, threshold)
        r = _rectification(jnp.where(tractable, length, longest), longest)
        adaptive, plain = r * debiasing(b1, b2, count), 1 / (1 - b1**count)

        def direction(m: jax.Array, v: jax.Array) -> jax.Array:
            step = jnp.where(tractable, adaptive / (jnp.sqrt(v) + eps), plain)
            return (step * m).astype(m.dtype)

        return jax.tree.map(direction, m, v), RAdamState(count, m, v)

    return optax.GradientTransformation(init, update)


def radam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    threshold: float = 5.0,
) -> optax.GradientTransformationExtraArgs:
    """RAdam: Adam that rectifies the variance of its early step sizes.

    With rho = 2 / (1 - b2) - 1 and rho_t = rho - 2 t b2^t / (1 - b2^t):

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        r_t = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t))
        if rho_t >= threshold:
            w <- w - lr r_t sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
        else:
            w <- w - lr / (1 - b1^t) m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.
      threshold: length of the average from which on its variance counts as tractable.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = radam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2019,
      arXiv:1908.03265; LiyuanLucasLiu/RAdam. Optax's radam adds eps after v is corrected.

    Deviations:
      The threshold is 5, as in the authors' code, where the paper's is 4.
    """
    return optax.chain(
        scale_by_radam(b1, b2, eps, threshold), optax.scale_by_learning_rate(learning_rate)
    )


def _rectification(length: jax.Array, longest: Any) -> jax.Array:
    variance = (length - 4) * (length - 2) / length
    return jnp.sqrt(variance * longest / ((longest - 4) * (longest - 2)))


ROWS = (
    Baseline(
        id="radam",
        name="RAdam",
        factory=radam,
        group="adaptive",
        title="On the Variance of the Adaptive Learning Rate and Beyond",
        authors="Liu et al.",
        year=2019,
        arxiv="1908.03265",
        test_rate=0.02,
        tuning=tuned(0.3),
        deviations="The threshold is 5, as in the authors' code, where the paper's is 4.",
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31", "torch 2.13.0"),
    ),
)
