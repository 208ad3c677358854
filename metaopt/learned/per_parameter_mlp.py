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
from metaopt.learned.stacks import alike, over, unzipped

CONTRACT = "per_parameter_mlp/1"

STEP, EXPONENT = 0.001, 0.001
DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)

_COMPACT = 0.99
"""The largest decay whose average still moves in bfloat16, which keeps steps of 1/256."""


class PerParameterMLPState(NamedTuple):
    """State of `per_parameter_mlp`.

    Attributes:
      count: int32 (), updates made.
      averages: six moving averages of the gradient for each stack of parameter tensors.
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
            averages = alike(params).filled(
                lambda shape: tuple(jnp.zeros(shape, dtype) for dtype in held)
            )
            return PerParameterMLPState(jnp.zeros((), jnp.int32), averages)

        def update(
            updates: optax.Updates, state: Any, params: Any = None, **extra: Any
        ) -> tuple[optax.Updates, PerParameterMLPState]:
            del extra
            params = given_params(CONTRACT, params)
            if not jax.tree.leaves(params):
                return updates, state
            stacks = alike(params)
            p, g = stacks.stacked(params), stacks.stacked(updates)

            def averaged(g: jax.Array, old: Any) -> list[jax.Array]:
                pairs = zip(DECAYS, old, strict=True)
                return [d * m.astype(jnp.float32) + (1 - d) * g for d, m in pairs]

            averages = over(averaged, g, state.averages)
            outputs = mlp.over_stacks(
                theta["mlp"],
                lambda p, g, averages: [g, p, *averages],
                p,
                g,
                averages,
                common=features.time(state.count),
            )

            def moved(outputs: list[jax.Array], averages: list[jax.Array]) -> tuple[Any, Any]:
                direction, magnitude = outputs
                step = -STEP * direction * jnp.exp(EXPONENT * magnitude)
                return step, tuple(m.astype(d) for m, d in zip(averages, held, strict=True))

            steps, kept = unzipped(over(moved, outputs, averages))
            return stacks.unstacked(steps, updates), PerParameterMLPState(state.count + 1, kept)

        return optax.GradientTransformationExtraArgs(begin, update)

    return LearnedOptimizer(CONTRACT, {"hidden": hidden, "layers": layers}, init, bind)
