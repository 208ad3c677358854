"""NovoGrad, Adam with one second moment for each layer."""

from typing import Any

import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params


def novograd(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.98,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """NovoGrad: momentum of gradients that are normalized layer by layer.

    For each array, with v = ||g||^2 at the first step:

        v <- b2 v + (1 - b2) ||g||^2
        m <- b1 m + g / (sqrt(v) + eps) + weight_decay w
        w <- w - lr m

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the momentum.
      b2: decay of the squared norm's average.
      eps: added to the denominator.
      weight_decay: inside the momentum, as the second equation says.

    Returns:
      The transformation: Optax's, with the paper's decays. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = novograd(1e-2)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of
      Deep Networks", 2019, arXiv:1905.11286; NVIDIA/DeepLearningExamples.
    """
    inner = optax.with_extra_args_support(
        optax.novograd(learning_rate, b1, b2, eps, weight_decay=weight_decay)
    )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        return inner.update(updates, state, require_params(params, "novograd"), **extra_args)

    return optax.GradientTransformationExtraArgs(inner.init, update)


ROWS = (
    Baseline(
        id="novograd",
        name="NovoGrad",
        factory=novograd,
        group="adaptive",
        title="Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep "
        "Networks",
        authors="Ginsburg et al.",
        year=2019,
        arxiv="1905.11286",
        needs=("params",),
        test={"weight_decay": 0.001},
        tuning=tuned(0.3, weight_decay=(1e-5, 1e-1)),
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31", "torch-optimizer 0.3.0"),
    ),
)
