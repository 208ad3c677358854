"""Weight decay of which Optax has the parts right."""

import optax
from optax import adamw as adamw

from metaopt.baselines.baseline import Baseline, tuned


def adam_l2(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 1e-4,
) -> optax.GradientTransformationExtraArgs:
    """Adam of a loss with an L2 penalty: decay goes through the moments.

    With hats for division by 1 - b^t:

        g <- g + weight_decay w
        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - lr m_hat / (sqrt(v_hat) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: of the penalty weight_decay |w|^2 / 2.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_l2(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      van Laarhoven, "L2 Regularization versus Batch and Weight Normalization", 2017,
      arXiv:1706.05350, which studies it.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate, b1, b2, eps)
    )


_OPTAX_DEFAULT = (
    "Optax's default weight_decay is 1e-4, where PyTorch's is 1e-2. The decay is multiplied by the "
    "learning rate, in the paper only by its schedule, as everyone else has it too."
)

ROWS = (
    Baseline(
        id="adam_l2",
        name="Adam with L2",
        factory=adam_l2,
        group="weight_decay",
        title="L2 Regularization versus Batch and Weight Normalization",
        authors="van Laarhoven",
        year=2017,
        arxiv="1706.05350",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-6, 0.1)),
        checked=("torch 2.13.0",),
    ),
    Baseline(
        id="adamw",
        name="AdamW",
        factory=adamw,
        group="weight_decay",
        title="Decoupled Weight Decay Regularization",
        authors="Loshchilov, Hutter",
        year=2017,
        arxiv="1711.05101",
        needs=("params",),
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        equations="""
            m <- b1 m + (1 - b1) g
            v <- b2 v + (1 - b2) g^2
            m_hat = m / (1 - b1^t);  v_hat = v / (1 - b2^t)
            w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)
        """,
        deviations=_OPTAX_DEFAULT,
        checked=("heavyball 3.2.1", "optimi 0.3.3", "timm 1.0.31", "torch 2.13.0"),
    ),
)
