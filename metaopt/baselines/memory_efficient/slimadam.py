"""SlimAdam, Adam whose second moments are averaged where they hardly vary."""

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.averaged_adam import adamw_of_averages
from metaopt.baselines.shared.matrices import AxesOf, MatrixAxes, flax_axes
from metaopt.baselines.shared.roles import Role, RolesOf, flax_roles


def slimadam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    roles: RolesOf = flax_roles,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """SlimAdam: second moments are averaged over axes along which they hardly vary.

    With hats for division by 1 - b^t, and K the axes that a layer's kind says:

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) mean over K of g^2
        w <- w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

    K are the inputs of queries, keys and heads, the outputs of values, of attention's output and of
    every other matrix, and all but the first axis of embeddings. Vectors have Adam's full v.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squared gradient's average.
      eps: added to the denominator.
      weight_decay: decoupled, multiplied by the learning rate; not of vectors and scalars.
      roles: parameters -> what each is.
      matrix_axes: parameters -> which axes of each are rows (outputs) and columns (inputs).

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = slimadam(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Kalra et al., "When Can You Get Away with Low Memory Adam?", 2025, arXiv:2503.01843;
      dayal-kalra/low-memory-adam.

    Deviations:
      K is the paper's recommendation for each kind of layer (its first table). Its other way,
      signal-to-noise ratios measured in a run of Adam before, is no part of the optimizer.
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
    """The axes that a second moment is averaged over."""
    everything = tuple(range(w.ndim))
    if role == "embedding":
        return everything[1:]
    if role == "head":
        return everything[:-1]
    if axes is None:
        return ()
    return axes.columns if role == "query_key" else axes.rows


ROWS = (
    Baseline(
        id="slimadam",
        name="SlimAdam",
        factory=slimadam,
        group="memory_efficient",
        title="When Can You Get Away with Low Memory Adam?",
        authors="Kalra et al.",
        year=2025,
        arxiv="2503.01843",
        needs=("params", "roles", "matrix_axes"),
        test={"weight_decay": 0.02},
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        matrix_bytes=lambda m, n: 4 * (m * n + n),
        deviations=(
            "The averaged axes are the paper's recommendation for each kind of layer (its first "
            "table). Its other way, signal-to-noise ratios measured in a run of Adam before, is "
            "no part of the optimizer."
        ),
        checked=("equations",),
    ),
)
