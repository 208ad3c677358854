"""Which scale vectors of normalization layers decay: those before linear maps."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.roles import Params, RolesOf, flax_roles, names_of


def scale_vector_weight_decay(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.1,
    roles: RolesOf = flax_roles,
    output_norms: Callable[[Params], Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """AdamW that decays the scales of input norms, but neither output norms' nor biases.

    With u = m_hat / (sqrt(v_hat) + eps), as in Adam:

        w <- w - lr (u + weight_decay w)   matrices, embeddings, heads, scales of input norms
        w <- w - lr u                      scales of output norms, biases and other vectors

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      roles: parameters -> the role of each.
      output_norms: parameters -> a tree of bools, true for those of layers which normalize what a
        block puts out; default: none, as in Pre-Norm networks, where every norm is before a linear
        map.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = scale_vector_weight_decay(1e-3)
      >>> params = {"LayerNorm_0": {"scale": jnp.ones(3)}, "Dense_0": {"kernel": jnp.ones((3, 2))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Wang et al., "Negligible in Size, Significant in Effect: On Scale Vectors in Large Language
      Models", 2026, arXiv:2605.26895.

    Deviations: the rule alone, as an AdamW that knows what to decay; the rest of the paper is about
    networks. Which layers the paper counts as output norms could not be confirmed beyond their
    name, so networks that have them say so.
    """

    def decays(path: tuple[Any, ...], role: str, output: bool) -> bool:
        if role == "norm":
            return names_of(path)[-1:] != ("bias",) and not output
        return role != "vector"

    def mask(params: Params) -> Any:
        outputs = (
            jax.tree.map(lambda _: False, params) if output_norms is None else output_norms(params)
        )
        return jax.tree_util.tree_map_with_path(decays, roles(params), outputs)

    return optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)


ROWS = (
    Baseline(
        id="scale_vector_weight_decay",
        name="Scale-vector weight decay",
        factory=scale_vector_weight_decay,
        group="weight_decay",
        title=(
            "Negligible in Size, Significant in Effect: On Scale Vectors in Large Language Models"
        ),
        authors="Wang et al.",
        year=2026,
        arxiv="2605.26895",
        needs=("params", "roles"),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "The rule alone, as an AdamW that knows what to decay; the rest of the paper is about "
            "networks. Which layers the paper counts as output norms could not be confirmed beyond "
            "their name, so networks that have them say so."
        ),
        checked=("equations",),
    ),
)
