"""Spectral normalization of weights, with the power iteration's vector carried along."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.matrices import AxesOf, flax_axes
from metaopt.baselines.shared.power_iteration import top_singular
from metaopt.baselines.shared.projection import project_after

DEVIATIONS = (
    "The paper divides by sigma inside the network, whatever its size, and differentiates through "
    "it; here the weights themselves are divided after each step, and only if sigma is above the "
    "bound."
)


def spectrally_normalized(
    w: jax.Array, u: jax.Array, bound: Any, power_steps: int
) -> tuple[jax.Array, jax.Array]:
    """W / max(1, sigma / bound), sigma its largest singular value by power iteration from u.

    Args:
      w: (m, n).
      u: (m,), of length one.
      bound: of the singular values.
      power_steps: how many iterations.

    Returns:
      W normalized, and the left singular vector.
    """
    sigma, u, _ = top_singular(w, u, power_steps)
    return w / jnp.maximum(1, sigma / bound), u


def momentum_spectral_norm(
    inner: optax.GradientTransformation,
    bound: float = 1.0,
    *,
    power_steps: int = 1,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Spectral normalization: keeps the largest singular value of every matrix below a bound.

    After each of the inner optimizer's steps, with u kept from step to step:

        v = W^T u / ||W^T u||;  u <- W v / ||W v||        power_steps times
        sigma = u^T W v
        W <- W / max(1, sigma / bound)

    Args:
      inner: the optimizer.
      bound: of singular values; 1 makes layers Lipschitz with constant 1, as far as u is known.
      power_steps: iterations in each step; one, as weights change slowly.
      matrix_axes: which axes are rows and columns; see `shared.matrices`.

    Returns:
      The transformation. Its update needs the parameters.

    Raises:
      ValueError: `power_steps` is below one.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = momentum_spectral_norm(optax.adam(1e-3))
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018,
      arXiv:1802.05957. As a projection of weights: Arongil/lipschitz-transformers.

    Deviations:
      The paper divides by sigma inside the network, whatever its size, and differentiates through
      it; here the weights themselves are divided after each step, and only if sigma is above the
      bound.
    """
    if power_steps < 1:
        raise ValueError(f"power_steps is {power_steps}: at least one iteration is needed")

    def project(w: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        return spectrally_normalized(w, u, bound, power_steps)

    return project_after(inner, project, matrix_axes, "momentum_spectral_norm")


ROWS = (
    Baseline(
        id="momentum_spectral_norm",
        name="Spectral normalization of weights",
        factory=momentum_spectral_norm,
        kind="wrapper",
        group="weight_decay",
        title="Spectral Normalization for Generative Adversarial Networks",
        authors="Miyato et al.",
        year=2018,
        arxiv="1802.05957",
        needs=("params", "matrix_axes"),
        test={"bound": 1.5},
        test_rate=0.05,
        tuning=tuned(0.3, bound=(0.3, 30.0)),
        deviations=DEVIATIONS,
        checked=("equations",),
    ),
)
