"""What a learned optimizer is: weights to draw, and a transformation that they make."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

Theta = Any
"""Meta-parameters: a nested dict of float32 arrays."""

Scalar = int | float | jax.Array


class Bind(Protocol):
    """Weights -> an optimizer."""

    def __call__(
        self,
        theta: Theta,
        *,
        num_steps: Scalar | None = None,
        compact: bool = True,
    ) -> optax.GradientTransformationExtraArgs:
        """Make the transformation that these weights stand for.

        Args:
          theta: the weights, as `init` draws them; they may be traced.
          num_steps: length of the training, for networks that see what fraction of it is over; it
            may be traced.
          compact: hold fast moving averages as bfloat16 in the state.

        Raises:
          TypeError: `num_steps` is missing and the network needs it.
        """
        ...


class LearnedOptimizer(NamedTuple):
    """A neural network whose output is the step of another network's parameters.

    Attributes:
      contract: name and version of what goes in and comes out, such as `"adafac_mlp/1"`; a change
        of any feature is a new version, and weights name the contract that they were trained under.
      sizes: the numbers that its factory was called with.
      init: key -> theta, untrained weights.
      bind: theta -> an Optax transformation, see `Bind`.
      needs: what it must be told beside gradients and parameters: `num_steps` when it is bound,
        `value`, the training loss, at every update.
      linear: names of the parts of theta that are a layer (`w`, `b`) and that nothing but
        `tensors.linear` applies: who perturbs such weights need not make the perturbed matrix.
    """

    contract: str
    sizes: Mapping[str, int]
    init: Callable[[jax.Array], Theta]
    bind: Bind
    needs: frozenset[str] = frozenset()
    linear: frozenset[str] = frozenset()


def count(theta: Theta) -> int:
    """The number of meta-parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(theta))


def given_steps(contract: str, num_steps: Scalar | None) -> jax.Array:
    """The length of the training, float32 ().

    One that is traced and less than 1 counts as 1.

    Raises:
      TypeError: it was not given.
      ValueError: it is not a number of at least 1.
    """
    if num_steps is None:
        raise TypeError(
            f"{contract} sees what fraction of the training is over: pass num_steps=..., the "
            "number of updates that the training will make"
        )
    if jnp.ndim(num_steps):
        raise ValueError(
            f"num_steps must be a number, got an array of shape {jnp.shape(num_steps)}"
        )
    if not isinstance(num_steps, Tracer) and not num_steps >= 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    return jnp.maximum(1.0, jnp.asarray(num_steps, jnp.float32))


def given_loss(contract: str, value: Any) -> jax.Array:
    """The training loss, float32 ().

    Raises:
      TypeError: it was not given.
    """
    if value is None:
        raise TypeError(
            f"{contract} sees the training loss: call update(gradients, state, params, value=loss)"
        )
    return jnp.asarray(value, jnp.float32).reshape(())


def given_params(contract: str, params: Any) -> Any:
    """The parameters.

    Raises:
      ValueError: they were not given.
    """
    if params is None:
        raise ValueError(f"{contract} sees the parameters: call update(gradients, state, params)")
    return params
