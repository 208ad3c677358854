"""Scaling with gradient grouping: parameters with momenta of like size share a learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned


class Groups(NamedTuple):
    """The groups of one array's numbers.

    Attributes:
      label: int8, like the array: the group of each number.
      center: (groups,), of k-means, ascending.
      mean: (groups,), moving average of the mean size of momenta; 0 as long as they are.
      scale: (groups,), what learning rates are multiplied by.
    """

    label: jax.Array
    center: jax.Array
    mean: jax.Array
    scale: jax.Array


class SggState(NamedTuple):
    """State of `sgg`.

    Attributes:
      count: int32 (), steps taken.
      m: moving average of gradients, like the parameters.
      groups: a list with the `Groups` of each array.
      inner: of the inner optimizer.
    """

    count: Any
    m: optax.Updates
    groups: list[Groups]
    inner: optax.OptState


def sgg(
    inner: optax.GradientTransformation,
    *,
    b1: float = 0.9,
    groups: int = 3,
    period: int = 500,
    mean_decay: float = 0.95,
    scale_decay: float = 0.9,
    bounds: tuple[float, float] = (0.1, 10.0),
) -> optax.GradientTransformationExtraArgs:
    """SGG: k-means groups the momenta of each array, and each group has its learning rate.

    With u the update of the inner optimizer, of each array, the middle lines every `period` steps:

        m <- b1 m + (1 - b1) g
        c <- the group of each number of |m|, by k-means
        mean_k <- mean_decay mean_k + (1 - mean_decay) mean(|m| of group k)
        S_k <- clip(scale_decay S_k + (1 - scale_decay) mean(|m|) / mean_k, bounds)
        w <- w + S_c u

    Args:
      inner: the optimizer whose updates are scaled.
      b1: decay of the gradient's average, which tells groups apart.
      groups: how many there are, up to 127.
      period: steps from one grouping to the next.
      mean_decay: decay of the groups' means.
      scale_decay: decay of the groups' scales, which start at 1.
      bounds: of the scales.

    Returns:
      The transformation.

    Raises:
      ValueError: `groups` or `period` is out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> optimizer = sgg(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Li et al., "Taming LLMs by Scaling Learning Rates with Gradient Grouping", 2025,
      arXiv:2506.01049; ScalingOpt/SGG.

    Deviations: the authors' repository holds no code yet; this follows a public AdamWSGG, version
    2, whose scales compare a group with its array, where the paper's compare medians of deviations,
    and with the whole model's too. Wrapped around any optimizer, so the momentum is its own. Means
    start with the first grouping that finds momentum, not with 1, and the scale of a group without
    any goes to 1. k-means is Lloyd's from quantiles on all numbers, not on minibatches.
    """
    if not 1 <= groups <= 127:
        raise ValueError(f"groups must be between 1 and 127, not {groups}")
    if period < 1:
        raise ValueError(f"period must be at least 1, not {period}")
    inner = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> SggState:
        def no_groups(w: jax.Array) -> Groups:
            center, mean = (jnp.zeros(groups, w.dtype) for _ in range(2))
            return Groups(jnp.zeros(w.shape, jnp.int8), center, mean, jnp.ones(groups, w.dtype))

        return SggState(
            jnp.zeros((), jnp.int32),
            optax.tree.zeros_like(params),
            [no_groups(w) for w in jax.tree.leaves(params)],
            inner.init(params),
        )

    def group(m: jax.Array, old: Groups) -> Groups:
        if m.size == 0:
            return old
        size = jnp.abs(m)
        first = jnp.all(old.mean == 0)
        quantiles = jnp.quantile(size.astype(jnp.result_type(m, jnp.float32)), _middles(groups))
        label, center = k_means(size, jnp.where(first, quantiles, old.center).astype(m.dtype))
        whole = jnp.mean(size)
        now = group_means(size, label, jnp.full(groups, whole))
        mean = jnp.where(old.mean == 0, now, mean_decay * old.mean + (1 - mean_decay) * now)
        ratio = jnp.where(mean > 0, whole / jnp.where(mean > 0, mean, 1), 1)
        scale = jnp.clip(scale_decay * old.scale + (1 - scale_decay) * ratio, *bounds)
        return Groups(label, center, mean.astype(m.dtype), scale.astype(m.dtype))

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SggState]:
        m = optax.tree.cast_like(optax.tree.update_moment(updates, state.m, b1, 1), state.m)
        updates, inner_state = inner.update(updates, state.inner, params, **extra_args)
        count = optax.safe_increment(state.count)
        grouped = jax.lax.cond(
            (state.count + 1) % period == 0,
            lambda m, old: [group(*pair) for pair in zip(jax.tree.leaves(m), old, strict=True)],
            lambda m, old: old,
            m,
            state.groups,
        )
        leaves, treedef = jax.tree.flatten(updates)
        scaled = [u * g.scale[g.label] for u, g in zip(leaves, grouped, strict=True)]
        return (
            jax.tree.unflatten(treedef, scaled),
            SggState(count, m, grouped, inner_state),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def k_means(x: jax.Array, center: jax.Array, steps: int = 10) -> tuple[jax.Array, jax.Array]:
    """Lloyd's algorithm for numbers.

    Args:
      x: the numbers, of any shape.
      center: (k,), where it starts, ascending.
      steps: of the algorithm.

    Returns:
      int8, like x: the group of each number; and (k,), the groups' means, ascending.
    """

    def labels(center: jax.Array) -> jax.Array:
        middle = (center[1:] + center[:-1]) / 2
        return jnp.searchsorted(middle, x).astype(jnp.int8)

    def step(_: Any, center: jax.Array) -> jax.Array:
        return group_means(x, labels(center), center)

    center = jax.lax.fori_loop(0, steps, step, center)
    return labels(center), center


def group_means(x: jax.Array, label: jax.Array, otherwise: jax.Array) -> jax.Array:
    """The mean of each group's numbers; of an empty group, what `otherwise` says.

    Args:
      x: the numbers.
      label: like x, the group of each.
      otherwise: (k,).
    """
    index = jnp.arange(len(otherwise))
    # One sum after another: a mask for all groups at once would be k times as large as x.
    total, count = jax.lax.map(lambda k: (jnp.sum(x, where=label == k), jnp.sum(label == k)), index)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), otherwise).astype(otherwise.dtype)


def _middles(groups: int) -> jax.Array:
    return (jnp.arange(groups) + 0.5) / groups


ROWS = (
    Baseline(
        id="sgg",
        name="SGG",
        factory=sgg,
        kind="wrapper",
        group="wrapper",
        title="Taming LLMs by Scaling Learning Rates with Gradient Grouping",
        authors="Li et al.",
        year=2025,
        arxiv="2506.01049",
        test={"period": 2, "mean_decay": 0.5, "scale_decay": 0.5},
        tuning=tuned(0.3),
        deviations=(
            "The authors' repository holds no code yet; this follows a public AdamWSGG, version 2, "
            "whose scales compare a group with its array, where the paper's compare medians of "
            "deviations, and with the whole model's too. Wrapped around any optimizer, so the "
            "momentum is its own. Means start with the first grouping that finds momentum, not "
            "with 1, and the scale of a group without any goes to 1. k-means is Lloyd's from "
            "quantiles on all numbers, not on minibatches."
        ),
        checked=("equations",),
    ),
)
