"""Cautious optimizers: no step where the gradient is of another opinion."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned

Rescale = Literal["mean", "count"]
"""What makes up for the numbers masked: division by the share that is left.

- mean: by max(mean(mask), 1e-3), as the authors' C-AdamW has it now.
- count: by (sum(mask) + 1) / size, as the paper and the authors' C-Lion have it.
"""


def cautious(
    inner: optax.GradientTransformation,
    *,
    rescale: Rescale = "mean",
) -> optax.GradientTransformationExtraArgs:
    """Cautious optimizers: an update's numbers that would go up the present gradient are zeroed.

    With u the update of the inner optimizer, of each array:

        mask <- 1 if u g < 0 else 0
        w <- w + u mask / max(mean(mask), 1e-3)

    Args:
      inner: an optimizer with momentum. Weight decay belongs outside of it, or it is masked too.
      rescale: "mean" for the above, or "count" for the paper's first: mask size / (sum(mask) + 1).

    Returns:
      The transformation.

    Raises:
      ValueError: `rescale` is neither.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = cautious(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liang et al., "Cautious Optimizers: Improving Training with One Line of Code", 2024,
      arXiv:2411.16085; kyleliang919/C-Optim.

    Deviations: none from the authors' present code; the paper rescales as "count" does.
    """
    return _masked(inner, lambda u, g: u * g < 0, rescale)


def c_adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    rescale: Rescale = "mean",
) -> optax.GradientTransformationExtraArgs:
    """C-AdamW: AdamW, cautious but for its decay.

    With hats for division by 1 - b^t, and the mean of each array:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        mask <- 1 if m g > 0 else 0
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) mask / max(mean(mask), 1e-3) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the average of squares.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate.
      rescale: see `cautious`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = c_adamw(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liang et al., "Cautious Optimizers: Improving Training with One Line of Code", 2024,
      arXiv:2411.16085; kyleliang919/C-Optim.

    Deviations: none from the authors' present code; the paper rescales as "count" does.
    """
    return optax.chain(
        _masked(optax.scale_by_adam(b1, b2, eps), lambda u, g: u * g > 0, rescale),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def c_lion(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    *,
    weight_decay: float = 0.0,
    rescale: Rescale = "count",
) -> optax.GradientTransformationExtraArgs:
    """C-Lion: Lion, cautious but for its decay.

    Of each array:

        u <- sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g
        mask <- 1 if u g > 0 else 0
        w <- w - lr (u mask size / (sum(mask) + 1) + weight_decay w)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: share of the average in the update.
      b2: decay of the gradient's average.
      weight_decay: decoupled, multiplied by the learning rate.
      rescale: see `cautious`.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = c_lion(1e-4)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Liang et al., "Cautious Optimizers: Improving Training with One Line of Code", 2024,
      arXiv:2411.16085; kyleliang919/C-Optim.

    Deviations: b1 and b2 are Lion's own, 0.9 and 0.99; the authors' code has 0.95 and 0.98.
    """
    return optax.chain(
        _masked(optax.scale_by_lion(b1, b2), lambda u, g: u * g > 0, rescale),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def _masked(
    inner: optax.GradientTransformation,
    agrees: Callable[[jax.Array, jax.Array], jax.Array],
    rescale: Rescale,
) -> optax.GradientTransformationExtraArgs:
    """What `inner` makes of gradients, where it agrees with them."""
    if rescale not in ("mean", "count"):
        raise ValueError(f'rescale must be "mean" or "count", not {rescale!r}')
    inner = optax.with_extra_args_support(inner)

    def masked(u: jax.Array, g: jax.Array) -> jax.Array:
        mask = agrees(u, g)
        # Not jnp.mean, which of an empty array is NaN.
        left = jnp.sum(mask) / max(u.size, 1)
        share = jnp.maximum(left, 1e-3) if rescale == "mean" else left + 1 / max(u.size, 1)
        return (jnp.where(mask, u, 0) / share).astype(u.dtype)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        u, state = inner.update(updates, state, params, **extra_args)
        return jax.tree.map(masked, u, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


_PAPER: dict[str, Any] = {
    "group": "wrapper",
    "title": "Cautious Optimizers: Improving Training with One Line of Code",
    "authors": "Liang et al.",
    "year": 2024,
    "arxiv": "2411.16085",
}

_RESCALED = 'None from the authors\' present code; the paper rescales as "count" does.'

ROWS = (
    Baseline(
        id="c_adamw",
        name="C-AdamW",
        factory=c_adamw,
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=_RESCALED,
        checked=("heavyball 3.2.1", "timm 1.0.31"),
        **_PAPER,
    ),
    Baseline(
        id="c_lion",
        name="C-Lion",
        factory=c_lion,
        needs=("params",),
        test={"weight_decay": 0.02},
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        deviations="b1 and b2 are Lion's own, 0.9 and 0.99; the authors' code has 0.95 and 0.98.",
        checked=("pytorch_optimizer 4.1.0", "timm 1.0.31"),
        **_PAPER,
    ),
    Baseline(
        id="cautious",
        name="Cautious wrapper",
        factory=cautious,
        kind="wrapper",
        tuning=tuned(0.3),
        deviations=_RESCALED,
        checked=("equations",),
        **_PAPER,
    ),
)
