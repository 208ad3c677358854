"""LOMO, SGD that keeps nothing, not even all gradients at once."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


def lomo(
    learning_rate: optax.ScalarOrSchedule,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """LOMO: SGD without a state, whose gradients are clipped one way or another.

        c = min(1, clip_norm / (||g|| + 1e-6))
        w <- w - lr (c clip(g, -clip_value, clip_value) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      clip_norm: norm over all parameters that gradients are scaled down to; None for c = 1.
      clip_value: the largest magnitude of a gradient's entries; None for any.
      weight_decay: decoupled, multiplied by the learning rate.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = lomo(0.1, clip_norm=1.0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Lv et al., "Full Parameter Fine-tuning for Large Language Models with Limited Resources",
      2023, arXiv:2306.09782; OpenLMLab/LOMO.

    Deviations:
      The paper updates each parameter within the backward pass, and runs that twice where the norm
      is clipped, so that no more than two gradients exist at once. Under `jax.jit`, with donated
      buffers, that is the compiler's business; the updates are the same.
    """

    def clip(updates: optax.Updates, params: Any) -> optax.Updates:
        del params
        factor = 1.0
        if clip_norm is not None:
            factor = jnp.minimum(1, clip_norm / (optax.tree.norm(updates) + 1e-6))
        if clip_value is not None:
            updates = jax.tree.map(lambda g, c=clip_value: jnp.clip(g, -c, c), updates)
        return jax.tree.map(lambda g: (factor * g).astype(g.dtype), updates)

    return optax.chain(
        optax.stateless(clip),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Baseline(
        id="lomo",
        name="LOMO",
        factory=lomo,
        group="memory_efficient",
        title="Full Parameter Fine-tuning for Large Language Models with Limited Resources",
        authors="Lv et al.",
        year=2023,
        arxiv="2306.09782",
        needs=("params",),
        test={"clip_norm": 2.0, "clip_value": 0.7, "weight_decay": 0.02},
        test_rate=0.1,
        tuning=tuned(10.0),
        matrix_bytes=lambda m, n: 0,
        deviations=(
            "The paper updates each parameter within the backward pass, and runs that twice where "
            "the norm is clipped, so that no more than two gradients exist at once. Under "
            "`jax.jit`, with donated buffers, that is the compiler's business; the updates are "
            "the same."
        ),
        checked=("pytorch_optimizer 4.1.0",),
    ),
)
