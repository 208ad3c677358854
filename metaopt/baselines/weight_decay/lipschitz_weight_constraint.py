"""Constraints on the singular values of weights, which make a network Lipschitz."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.newton_schulz import Coefficients, odd_polynomials
from metaopt.baselines.shared.power_iteration import top_singular
from metaopt.baselines.shared.projection import project_after
from metaopt.baselines.weight_decay.momentum_spectral_norm import spectrally_normalized

Method = Literal["soft_cap", "hard_cap", "svd", "normalize", "hammer", "spectral_decay"]
"""How singular values s, in units of the bound, are constrained.

- soft_cap: s <- p(s) for all, two cubic polynomials just strong enough for steps of `max_update`.
- hard_cap: s <- min(1, s) for all, nearly, by polynomials.
- svd: the same, exactly.
- normalize: s <- s / max(1, s_1) for all.
- hammer: s_1 <- 1 for the largest alone.
- spectral_decay: s_1 <- (1 - decay) s_1 for the largest alone.
"""

HARD_CAP: tuple[Coefficients, ...] = (
    (0.805032, 0.206361, -0.019763),
    (0.649867, 0.162935, -0.011150),
    (1.810259, -0.200265, 0.008251),
    (1.004384, -0.183490, 0.014413),
)
"""Odd polynomials whose composition is nearly min(1, s) for s up to `HARD_CAP_REACH`."""

HARD_CAP_REACH = 3.0

SOFT_CAP_REACH = 81 / 62
"""Up to here a soft cap rises; of a longer reach, smaller singular values would end above the
bound. Its derivative vanishes here, where alpha reach^2 = 1/3."""

DEVIATIONS = (
    "Embeddings and heads, whose rows or columns the authors' code scales to a root mean square of "
    "at most one, are left to the inner optimizer. The vector of the power iteration is kept from "
    "step to step, and not drawn anew. Matrices out of the reach of a cap's polynomials, as at the "
    "start, are scaled back to it first: their singular values would diverge."
)


def soft_cap_strength(reach: Any) -> Any:
    """Alpha, the smallest with which a soft cap brings the singular value `reach` down to 1.

    The cap is p(s) = q + alpha q^3 of q = s - alpha s^3. With t = alpha reach^2, p(reach) = 1 says
    3 t^2 - 3 t^3 + t^4 = 1 - 1 / reach, of which the left side rises from 0 to 1 on [0, 1].

    Args:
      reach: what singular values may grow to in one step, in units of the bound.
    """
    target = jnp.maximum(1 - 1 / reach, 0)

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        t = (low + high) / 2
        above = 3 * t**2 - 3 * t**3 + t**4 > target
        return jnp.where(above, low, t), jnp.where(above, t, high)

    ends = jnp.zeros_like(target), jnp.ones_like(target)
    return jax.lax.fori_loop(0, 60, halve, ends)[1] / reach**2


def lipschitz_weight_constraint(
    inner: optax.GradientTransformation,
    w_max: float = 1.0,
    *,
    method: Method = "soft_cap",
    max_update: float = 0.1,
    decay: float = 0.1,
    power_steps: int = 16,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Constrains the RMS-to-RMS operator norm of every matrix after each step of an optimizer.

    Of a weight W of shape (m, n):

        X = W / (w_max sqrt(m / n)) = U diag(s) V^T
        s <- constrained(s)
        W <- w_max sqrt(m / n) U diag(s) V^T

    where the soft cap is s <- s - alpha s^3, s <- s + alpha s^3, with the least alpha that maps
    1 + max_update / w_max to 1.

    Args:
      inner: the optimizer; Muon, whose steps have a norm, goes well with the soft cap.
      w_max: bound of the operator norm from root mean square to root mean square.
      method: soft_cap, hard_cap, svd, normalize, hammer or spectral_decay; see `Method`.
      max_update: of the soft cap: bound of a step in the same norm, such as Muon's learning rate.
      decay: of the spectral decay.
      power_steps: iterations for the largest singular value.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: the method is unknown, or `power_steps` is below one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = lipschitz_weight_constraint(optax.adam(1e-3), 2.0)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Newhouse et al., "Training Transformers with Enforced Lipschitz Constants", 2025,
      arXiv:2507.13338; Arongil/lipschitz-transformers.

    Deviations:
      Embeddings and heads, whose rows or columns the authors' code scales to a root mean square of
      at most one, are left to the inner optimizer. The vector of the power iteration is kept from
      step to step, and not drawn anew. Matrices out of the reach of a cap's polynomials, as at the
      start, are scaled back to it first: their singular values would diverge.
    """
    if power_steps < 1:
        raise ValueError(f"power_steps is {power_steps}: at least one iteration is needed")

    def soft_cap(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        reach = jnp.minimum(jnp.asarray(1 + max_update / w_max, x.dtype), SOFT_CAP_REACH)
        alpha = soft_cap_strength(reach)
        x, u = spectrally_normalized(x, u, reach, power_steps)
        return odd_polynomials(x, ((1, -alpha, 0), (1, alpha, 0))), u

    def hard_cap(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, u = spectrally_normalized(x, u, HARD_CAP_REACH, power_steps)
        return odd_polynomials(x, HARD_CAP), u

    def hammer(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        sigma, u, v = top_singular(x, u, power_steps)
        return x + (1 - sigma) * jnp.outer(u, v), u

    def spectral_decay(x: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        sigma, u, v = top_singular(x, u, power_steps)
        return x - decay * sigma * jnp.outer(u, v), u

    methods: Mapping[str, Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]] = {
        "soft_cap": soft_cap,
        "hard_cap": hard_cap,
        "svd": lambda x, u: (_capped(x), u),
        "normalize": lambda x, u: spectrally_normalized(x, u, 1, power_steps),
        "hammer": hammer,
        "spectral_decay": spectral_decay,
    }
    if method not in methods:
        raise ValueError(f"method is {method!r}: choose one of {', '.join(methods)}")

    def project(w: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        unit = w_max * (w.shape[0] / w.shape[1]) ** 0.5
        x, u = methods[method](w / unit, u)
        return unit * x, u

    return project_after(inner, project, matrix_axes, "lipschitz_weight_constraint")


def _capped(x: jax.Array) -> jax.Array:
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return (u * jnp.minimum(s, 1)[None, :]) @ vt


ROWS = (
    Baseline(
        id="lipschitz_weight_constraint",
        name="Lipschitz weight constraints",
        factory=lipschitz_weight_constraint,
        kind="wrapper",
        group="weight_decay",
        title="Training Transformers with Enforced Lipschitz Constants",
        authors="Newhouse et al.",
        year=2025,
        arxiv="2507.13338",
        needs=("params", "matrix_axes"),
        test={"w_max": 1.5},
        test_rate=0.05,
        tuning=tuned(0.3, w_max=(0.3, 30.0)),
        deviations=DEVIATIONS,
        checked=("equations",),
    ),
)
