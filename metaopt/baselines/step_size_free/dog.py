"""DoG and L-DoG: the distance gone so far, over the gradients met on the way.

Optax has DoG, with its sums in the parameters' dtype, which stop growing early in bfloat16.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.sums import scalar_dtype, total


class DoGState(NamedTuple):
    """State of `scale_by_dog`.

    Attributes:
      x0: the first parameters, a tree.
      distance: the largest distance from them so far: (), or for each layer, a tree of such.
      squares: sum of squared norms of gradients; likewise.
    """

    x0: optax.Params
    distance: Any
    squares: Any


def scale_by_dog(
    reps_rel: float = 1e-6, eps: float = 1e-8, *, layerwise: bool = False
) -> optax.GradientTransformation:
    """DoG without its factor.

    Args:
      reps_rel: see `dog`.
      eps: see `dog`.
      layerwise: whether each array of parameters has its own step size.
    """

    def squared_norm(tree: Any) -> Any:
        squares = jax.tree.map(lambda x: total(jnp.square(x.astype(scalar_dtype(x)))), tree)
        return squares if layerwise else total(squares)

    def init(params: optax.Params) -> DoGState:
        norms = squared_norm(params)
        return DoGState(
            jax.tree.map(jnp.copy, params),
            jax.tree.map(lambda n: reps_rel * (1 + jnp.sqrt(n)), norms),
            jax.tree.map(lambda n: jnp.full_like(n, eps), norms),
        )

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, DoGState]:
        params = require_params(params, "dog")
        gone = squared_norm(optax.tree.sub(params, state.x0))
        distance = jax.tree.map(lambda r, n: jnp.maximum(r, jnp.sqrt(n)), state.distance, gone)
        squares = jax.tree.map(jnp.add, state.squares, squared_norm(updates))
        sizes = jax.tree.map(lambda r, g: r / jnp.sqrt(g), distance, squares)
        if not layerwise:
            sizes = jax.tree.map(lambda _: sizes, updates)
        updates = jax.tree.map(lambda g, size: (size * g).astype(g.dtype), updates, sizes)
        return updates, DoGState(state.x0, distance, squares)

    return optax.GradientTransformation(init, update)


def dog(
    learning_rate: optax.ScalarOrSchedule = 1.0, *, reps_rel: float = 1e-6, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """DoG: gradient descent, its step size being distance over gradients.

    With r = reps_rel (1 + |w_0|) and G = eps at first:

        r <- max(r, |w - w_0|)
        G <- G + |g|^2
        w <- w - lr r / sqrt(G) g

    Args:
      learning_rate: a factor, c of the paper, best left at 1: a number, an array or a schedule.
      reps_rel: the first r, relative to 1 + |w_0|; 1e-4 for networks with batch normalization.
      eps: the first G.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: reps_rel is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = dog()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ivgi, Hinder, Carmon, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule", 2023, arXiv:2302.12022; formll/dog.

    Deviations:
      Without the averages of iterates that the paper evaluates.
    """
    _require_start(reps_rel, "dog")
    return optax.chain(scale_by_dog(reps_rel, eps), optax.scale_by_learning_rate(learning_rate))


def ldog(
    learning_rate: optax.ScalarOrSchedule = 1.0, *, reps_rel: float = 1e-6, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """L-DoG: DoG with a step size for each array of parameters.

    For each array, with r = reps_rel (1 + |w_0|) and G = eps at first:

        r <- max(r, |w - w_0|)
        G <- G + |g|^2
        w <- w - lr r / sqrt(G) g

    Args:
      learning_rate: a factor, c of the paper, best left at 1: a number, an array or a schedule.
      reps_rel: the first r, relative to 1 + |w_0|; 1e-4 for networks with batch normalization.
      eps: the first G.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: reps_rel is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = ldog()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Ivgi, Hinder, Carmon, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule", 2023, arXiv:2302.12022; formll/dog.

    Deviations:
      Without the averages of iterates that the paper evaluates.
    """
    _require_start(reps_rel, "ldog")
    return optax.chain(
        scale_by_dog(reps_rel, eps, layerwise=True), optax.scale_by_learning_rate(learning_rate)
    )


def _require_start(reps_rel: Any, method: str) -> None:
    if isinstance(reps_rel, int | float) and reps_rel <= 0:
        raise ValueError(f"{method} cannot start from a distance of {reps_rel}: use 1e-6")


ROWS = (
    Baseline(
        id="dog",
        name="DoG",
        factory=dog,
        group="step_size_free",
        title="DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule",
        authors="Ivgi, Hinder, Carmon",
        year=2023,
        arxiv="2302.12022",
        needs=("params",),
        test={"reps_rel": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0),
        deviations="Without the averages of iterates that the paper evaluates.",
        checked=("dog 1.0.3", "zij 0.1.1"),
    ),
    Baseline(
        id="ldog",
        name="L-DoG",
        factory=ldog,
        group="step_size_free",
        title="DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule",
        authors="Ivgi, Hinder, Carmon",
        year=2023,
        arxiv="2302.12022",
        needs=("params",),
        test={"reps_rel": 0.01},
        test_rate=1.0,
        tuning=tuned(10.0),
        deviations="Without the averages of iterates that the paper evaluates.",
        checked=("dog 1.0.3", "zij 0.1.1"),
    ),
)
