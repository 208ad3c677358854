"""Adam-mini, Adam with one learning rate for each block of the Hessian."""

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.averaged_adam import adamw_of_averages
from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes, flax_axes
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles


def adam_mini(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Adam-mini: second moments are averaged over blocks of parameters.

    With hats for division by 1 - b^t, and a number v_b for each block b:

        m <- b1 m + (1 - b1) g
        v_b <- b2 v_b + (1 - b2) mean over b of g^2
        w <- w - lr (m_hat / (sqrt(v_b_hat) + eps) + weight_decay w)

    Blocks are the rows of an embedding, what feeds one head of a query or key, what feeds one
    output of any other matrix, and the whole of a normalization's scale or bias. Every other bias
    has a v of its own, as in Adam.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate; not of biases and normalizations.
      roles: parameters -> what each is.
      matrix_axes: parameters -> which axes of each are rows (outputs) and columns (inputs). Rows of
        two axes are heads and the parts of a head.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adam_mini(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Zhang et al., "Adam-mini: Use Fewer Learning Rates To Gain More", 2024, arXiv:2406.16793;
      zyushun/Adam-mini.

    Deviations:
      The authors' code is told the number of heads. Here heads are an axis, as in flax's attention;
      where they are not, a query or key has a learning rate for each output.
    """
    return adamw_of_averages(
        learning_rate,
        b1,
        b2,
        eps,
        averaged=_averaged,
        weight_decay=weight_decay,
        roles=roles,
        matrix_axes=matrix_axes,
    )


def _averaged(role: Role, axes: MatrixAxes | None, w: jax.Array) -> tuple[int, ...]:
    """The axes that a block extends over."""
    everything = tuple(range(w.ndim))
    if role == "vector":
        return ()
    if role == "embedding":
        return everything[1:]
    if role == "head":
        return everything[:-1]
    if axes is None:
        return everything
    within_head = axes.rows[1:] if role == "query_key" else ()
    return axes.columns + within_head


ROWS = (
    Baseline(
        id="adam_mini",
        name="Adam-mini",
        factory=adam_mini,
        group="memory_efficient",
        title="Adam-mini: Use Fewer Learning Rates To Gain More",
        authors="Zhang et al.",
        year=2024,
        arxiv="2406.16793",
        needs=("params", "roles", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + m),
        deviations=(
            "The authors' code is told the number of heads. Here heads are an axis, as in flax's "
            "attention; where they are not, a query or key has a learning rate for each output."
        ),
        checked=("equations",),
    ),
)
