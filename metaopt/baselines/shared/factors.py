"""Learning rates that differ between parameters: by their role, and by how wide the network is.

Rules that carry a learning rate from a narrow network to a wide one, or from one kind of parameter
to another, multiply updates by constants. `scale_updates` does it around any optimizer.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from metaopt.baselines.shared.matrices import AxesOf
from metaopt.baselines.shared.roles import Params, Role, RolesOf

FactorsOf = Callable[[Params], Any]
"""parameters -> a tree of the same structure with a number for each."""


def scale_updates(
    inner: optax.GradientTransformation, factors: FactorsOf
) -> optax.GradientTransformationExtraArgs:
    """An optimizer with its update of each parameter multiplied by a number.

    Args:
      inner: the optimizer.
      factors: parameters -> the number for each; depends on names and shapes alone.
    """
    inner = optax.with_extra_args_support(inner)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        updates, state = inner.update(updates, state, params, **extra_args)
        scaled = jax.tree.map(lambda u, f: (u * f).astype(u.dtype), updates, factors(updates))
        return scaled, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def role_factors(factors: Mapping[Role, float], roles: RolesOf) -> FactorsOf:
    """A number for each role; 1 for those not named."""
    return lambda params: jax.tree.map(lambda role: factors.get(role, 1.0), roles(params))


def width_factors(
    exponents: Mapping[Role, float],
    width_ratio: float,
    base_params: Params | None,
    roles: RolesOf,
    matrix_axes: AxesOf,
) -> FactorsOf:
    """Powers of how much wider a network is than the one that was tuned.

    The factor of a parameter is r^(-exponent), where r is the ratio of its fan-in to that of the
    same parameter of the narrow network; of an embedding, of its features.

    Args:
      exponents: of each role; 0 for those not named.
      width_ratio: r of all parameters, if `base_params` is None.
      base_params: the narrow network's parameters, or anything with their shapes, such as
        `jax.eval_shape` of its initialization.
      roles: parameters -> the role of each.
      matrix_axes: parameters -> which axes of each are fan-out and fan-in. A head's fan-in, of
        which it says nothing, is all axes but the last.
    """

    def factor(leaf: Any, base: Any, role: Role, axes: Any) -> float:
        if role not in exponents:
            return 1.0
        if base_params is None:
            return width_ratio ** -exponents[role]
        if role == "embedding":
            inputs = (leaf.ndim - 1,)
        elif axes is None:
            inputs = tuple(range(leaf.ndim - 1))
        else:
            inputs = axes.columns
        return math.prod(leaf.shape[a] / base.shape[a] for a in inputs) ** -exponents[role]

    def factors(params: Params) -> Any:
        leaves, treedef = jax.tree.flatten(params)
        columns = [params if base_params is None else base_params, roles(params)]
        columns = map(treedef.flatten_up_to, (*columns, matrix_axes(params)))
        return jax.tree.unflatten(treedef, map(factor, leaves, *columns))

    return factors
