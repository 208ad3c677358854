"""The per-parameter perceptron: moving averages of the gradient, and a perceptron that weighs them.

With decays d of 0.1, 0.5, 0.9, 0.99, 0.999 and 0.9999,

  m_i <- d_i m_i + (1 - d_i) g               no bias correction
  x    = [g, p, m], each normalized over its tensor, and features of time (11)
  o0, o1 = MLP(x)
  p   <- p - 0.001 o0 exp(0.001 o1)

Reference: Metz et al., "Understanding and correcting pathologies in the training of learned
optimizers", 2019 (arXiv 1810.10180); sizes and decays are those of the code that came with Metz et
al., "Practical tradeoffs between memory, compute, and performance in learned optimizers", 2022
(arXiv 2203.11860), where it is `MLPLOpt`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.learned import features, mlp
from metaopt.learned.optimizer import LearnedOptimizer, Scalar, Theta, given_params

CONTRACT = "per_parameter_mlp/1"

STEP, EXPONENT = 0.001, 0.001
DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)

_COMPACT = 0.99
"""The largest decay whose average still moves in bfloat16, which keeps steps of 1/256."""


class PerParameterMLPState(NamedTuple):
    """State of `per_parameter_mlp`.

    Attributes:
      count: int32 (), updates made.
      averages: six moving averages of the gradient for each parameter tensor, a tuple in its place.
    """

    count: Any
    averages: Any


def per_parameter_mlp(hidden: int = 32, layers: int = 2) -> LearnedOptimizer:
    """The per-parameter perceptron, 1,762 meta-parameters by default.

    Args:
      hidden: units of a hidden layer.
      layers: number of hidden layers.

    Returns:
      The learned optimizer. Bound, its state holds 16 bytes a parameter (24 if not compact); Adam's
      holds 8.
    """
    units = (2 + len(DECAYS) + len(features.TIMESCALES), *([hidden] * layers), 2)

    def init(key: jax.Array) -> Theta:
        return {"mlp": mlp.init(key, units)}

    def bind(
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        del num_steps
        held = [jnp.bfloat16 if compact and d <= _COMPACT else jnp.float32 for d in DECAYS]

        def begin(params: optax.Params) -> PerParameterMLPState:
            averages = jax.tree.map(
                lambda w: tuple(jnp.zeros(w.shape, dtype) for dtype in held), params
            )
            return PerParameterMLPState(jnp.zeros((), jnp.int32), averages)

        def update(
            updates: optax.Updates, state: Any, params: Any = None, **extra: Any
        ) -> tuple[optax.Updates, PerParameterMLPState]:
            del extra
            params = given_params(CONTRACT, params)
            leaves, tree = jax.tree.flatten(params)
            gradients = tree.flatten_up_to(updates)
            averages = [
                [
                    d * m.astype(jnp.float32) + (1 - d) * g.astype(jnp.float32)
                    for d, m in zip(DECAYS, old, strict=True)
                ]
                for g, old in zip(gradients, tree.flatten_up_to(state.averages), strict=True)
            ]
            seen = [
                [g.astype(jnp.float32), p.astype(jnp.float32), *ms]
                for p, g, ms in zip(leaves, gradients, averages, strict=True)
            ]
            time = features.time(state.count)
            outputs = mlp.over_tensors(theta["mlp"], seen, time)
            steps = [
                (-STEP * direction * jnp.exp(EXPONENT * magnitude)).astype(g.dtype)
                for g, (direction, magnitude) in zip(gradients, outputs, strict=True)
            ]
            kept = [
                tuple(m.astype(dtype) for m, dtype in zip(ms, held, strict=True)) for ms in averages
            ]
            steps, kept = jax.tree.unflatten(tree, steps), jax.tree.unflatten(tree, kept)
            return steps, PerParameterMLPState(state.count + 1, kept)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(CONTRACT, {"hidden": hidden, "layers": layers}, init, bind)
