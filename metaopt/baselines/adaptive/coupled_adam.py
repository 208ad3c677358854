"""Coupled Adam, whose second moments are the same for all tokens."""

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.averaged_adam import scale_by_moments
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles

_DEVIATIONS = (
    "The paper ties the head to the embedding; a head of its own is an output embedding, and "
    "coupled as such."
)


def coupled_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    roles: RolesOf = flax_roles,
) -> optax.GradientTransformationExtraArgs:
    """Coupled Adam: embeddings share their second moments, so that their mean does not drift.

    With hats for division by 1 - b^t, and a mean over tokens for embeddings alone:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) mean over tokens of g^2
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares. The paper takes the mean over tokens of v, which is the
        same, and more memory.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      roles: parameters -> the role of each. Tokens are the first axis of an embedding and the last
        axis of a head; all others are as in AdamW.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = coupled_adam(1e-3)
      >>> params = {"embedding": jnp.ones((4, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Stollenwerk, Stollenwerk, "Better Embeddings with Coupled Adam", 2025, arXiv:2502.08441;
      flxst/coupled-adam.

    Deviations:
      The paper ties the head to the embedding; a head of its own is an output embedding, and
      coupled as such.
    """

    def squares(updates: optax.Updates) -> optax.Updates:
        def square(g: jax.Array, role: Role) -> jax.Array:
            tokens = {"embedding": 0, "head": -1}.get(role)
            return g**2 if tokens is None else jnp.mean(g**2, axis=tokens, keepdims=True)

        return jax.tree.map(square, updates, roles(updates))

    return optax.chain(
        scale_by_moments(b1, b2, eps, squares=squares, debias=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="coupled_adam",
        name="Coupled Adam",
        factory=coupled_adam,
        group="adaptive",
        title="Better Embeddings with Coupled Adam",
        authors="Stollenwerk, Stollenwerk",
        year=2025,
        arxiv="2502.08441",
        needs=("params", "roles"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=_DEVIATIONS,
        checked=("equations",),
    ),
)
