"""Adam and SGD with momentum, their hyperparameters the weights: what is to be beaten.

  learnable_adam   learning rate, 1 - b1, 1 - b2, eps = exp(theta), then `optax.adam`
  learnable_sgdm   learning rate, 1 - momentum        = exp(theta), then `optax.sgd`

Decays are held in [0, 1]. Meta-training tunes them in the way that it trains a network.

Reference: baselines of the code that came with Metz et al., "Practical tradeoffs between memory,
compute, and performance in learned optimizers", 2022 (arXiv 2203.11860).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta


def learnable_adam() -> LearnedOptimizer:
    """Adam, with four meta-parameters.

    Untrained it is `optax.adam(0.001)`. Its averages stay float32, compact or not, so that bound it
    is Optax's Adam.
    """

    def init(key: jax.Array) -> Theta:
        del key
        return {
            "log_learning_rate": jnp.float32(math.log(0.001)),
            "log_one_minus_b1": jnp.float32(math.log(0.1)),
            "log_one_minus_b2": jnp.float32(math.log(0.001)),
            "log_eps": jnp.float32(math.log(1e-8)),
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        del num_steps, compact
        return _in_float32(
            optax.adam(
                jnp.exp(theta["log_learning_rate"]),
                b1=_decay(theta["log_one_minus_b1"]),
                b2=_decay(theta["log_one_minus_b2"]),
                eps=jnp.exp(theta["log_eps"]),
            )
        )

    return LearnedOptimizer("learnable_adam/1", {}, init, bind)


def learnable_sgdm() -> LearnedOptimizer:
    """SGD with momentum, with two meta-parameters.

    Untrained it is `optax.sgd(0.01, momentum=0.9)`. Its average stays float32, compact or not.
    """

    def init(key: jax.Array) -> Theta:
        del key
        return {
            "log_learning_rate": jnp.float32(math.log(0.01)),
            "log_one_minus_momentum": jnp.float32(math.log(0.1)),
        }

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        del num_steps, compact
        rate, momentum = jnp.exp(theta["log_learning_rate"]), theta["log_one_minus_momentum"]
        return _in_float32(optax.sgd(rate, momentum=_decay(momentum)))

    return LearnedOptimizer("learnable_sgdm/1", {}, init, bind)


def _decay(log_one_minus: jax.Array) -> jax.Array:
    return 1 - jnp.exp(jnp.minimum(log_one_minus, 0.0))


def _in_float32(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Compute in float32 and give steps of the gradients' type.

    Optax's own state takes the type of the parameters, and a traced hyperparameter would turn it
    from bfloat16 to float32 at the first update.
    """

    def begin(params: optax.Params) -> Any:
        return inner.init(jax.tree.map(lambda p: p.astype(jnp.float32), params))

    def update(
        updates: optax.Updates, state: Any, params: Any = None, **extra: Any
    ) -> tuple[optax.Updates, Any]:
        del params, extra
        steps, state = inner.update(jax.tree.map(lambda g: g.astype(jnp.float32), updates), state)
        return jax.tree.map(lambda step, g: step.astype(g.dtype), steps, updates), state

    return optax.GradientTransformationExtraArgs(begin, update)
