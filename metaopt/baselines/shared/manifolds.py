"""Manifolds that parameters may be kept on.

A Riemannian method takes `manifold`, a function of the parameters that returns a tree of the same
structure with the `Manifold` of each:

    riemannian_adam(1e-2, manifold=rows_on_spheres)
    riemannian_adam(1e-2, manifold=lambda params: {"tree": poincare_ball(), "bias": euclidean()})

An array of more axes than its manifold is a product of manifolds: of one sphere for each row, say.

Sources: Absil, Mahony and Sepulchre, "Optimization Algorithms on Matrix Manifolds", 2008;
Ganea, Becigneul and Hofmann, "Hyperbolic Neural Networks", 2018, arXiv:1805.09112;
geoopt/geoopt, which the tests compare with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaopt.baselines.shared.orthogonalization import orthonormal_basis


class Manifold(NamedTuple):
    """A Riemannian manifold as pure functions of arrays.

    Points x, y and tangent vectors u, v have the shape of the parameter.

    Attributes:
      project: (array) -> a point: x itself if it is one, up to rounding.
      gradient: (x, Euclidean gradient) -> the Riemannian one, a tangent vector at x.
      inner: (x, u, v) -> their inner products at x, an array that broadcasts to the shape of x: one
        for each of the manifolds that the parameter is a product of.
      move: (x, u) -> the point that u leads to: the exponential map, or a retraction.
      transport: (x, y, v) -> the tangent vector at y that v at x becomes.
    """

    project: Callable[[jax.Array], jax.Array]
    gradient: Callable[[jax.Array, jax.Array], jax.Array]
    inner: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    move: Callable[[jax.Array, jax.Array], jax.Array]
    transport: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


ManifoldsOf = Callable[[Any], Any]
"""parameters -> a tree of the same structure with the `Manifold` of each."""


def all_euclidean(params: Any) -> Any:
    """No constraint on any parameter."""
    return jax.tree.map(lambda _: euclidean(), params)


def rows_on_spheres(params: Any) -> Any:
    """The last axis of every array of two axes or more on the unit sphere; others are Euclidean."""
    return jax.tree.map(lambda w: sphere() if w.ndim > 1 else euclidean(), params)


def euclidean() -> Manifold:
    """The real numbers, once for each entry."""
    return Manifold(
        project=lambda x: x,
        gradient=lambda x, g: g,
        inner=lambda x, u, v: u * v,
        move=lambda x, u: x + u,
        transport=lambda x, y, v: v,
    )


def sphere(*, exact: bool = True) -> Manifold:
    """Unit vectors along the last axis.

    Args:
      exact: move along great circles, and transport in parallel along them; if not, x + u is
        normalized, and a vector is projected onto the tangent space of where it comes to.
    """

    def project(x: jax.Array) -> jax.Array:
        norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
        return x / jnp.where(norm > 0, norm, 1)

    def tangent(x: jax.Array, u: jax.Array) -> jax.Array:
        return u - _dot(x, u) * x

    def exponential(x: jax.Array, u: jax.Array) -> jax.Array:
        angle = jnp.linalg.norm(u, axis=-1, keepdims=True)
        # jnp.sinc(z) is sin(pi z) / (pi z), and 1 at zero.
        return project(jnp.cos(angle) * x + jnp.sinc(angle / jnp.pi) * u)

    def parallel(x: jax.Array, y: jax.Array, v: jax.Array) -> jax.Array:
        # Zero at the antipode, where no great circle is the shortest.
        cosine = jnp.maximum(1 + _dot(x, y), jnp.finfo(x.dtype).eps)
        return v - _dot(y, v) / cosine * (x + y)

    return Manifold(
        project=project,
        gradient=tangent,
        inner=lambda x, u, v: _dot(u, v),
        move=exponential if exact else lambda x, u: project(x + u),
        transport=parallel if exact else lambda x, y, v: tangent(y, v),
    )


def stiefel() -> Manifold:
    """Matrices of n >= p orthonormal columns, (..., n, p), with the Euclidean inner product.

    Moves by the retraction of a QR decomposition, and transports by projection.
    """

    def basis(x: jax.Array) -> jax.Array:
        if x.ndim < 2 or x.shape[-2] < x.shape[-1]:
            raise ValueError(
                "stiefel takes matrices of at least as many rows as columns, not an array of shape "
                f"{x.shape}: its columns cannot be orthonormal"
            )
        return orthonormal_basis(x)

    def tangent(x: jax.Array, u: jax.Array) -> jax.Array:
        product = x.mT @ u
        return u - x @ (product + product.mT) / 2

    return Manifold(
        project=basis,
        gradient=tangent,
        inner=lambda x, u, v: jnp.sum(u * v, axis=(-2, -1), keepdims=True),
        move=lambda x, u: basis(x + u),
        transport=lambda x, y, v: tangent(y, v),
    )


def poincare_ball(curvature: float = 1.0) -> Manifold:
    """Hyperbolic space as a ball along the last axis, with exponential map and parallel transport.

    With c the curvature and lambda_x = 2 / (1 - c |x|^2):

        gradient    g / lambda_x^2
        inner       lambda_x^2 <u, v>
        move        x (+) tanh(sqrt(c) lambda_x |u| / 2) u / (sqrt(c) |u|)
        transport   gyr[y, -x] v lambda_x / lambda_y

    where (+) is Moebius addition and gyr its gyration.

    Args:
      curvature: c, above zero: the sectional curvature is -c, the ball's radius 1 / sqrt(c).

    Raises:
      ValueError: the curvature is not above zero.
    """
    if curvature <= 0:
        raise ValueError(f"poincare_ball's curvature must be above 0, not {curvature}")
    c = curvature

    def factor(x: jax.Array) -> jax.Array:
        return 2 / (1 - c * _dot(x, x))

    def project(x: jax.Array) -> jax.Array:
        # Near the border lambda_x overflows the rounding: geoopt's margins.
        margin = 1e-5 if x.dtype == jnp.float64 else 4e-3
        norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
        longest = (1 - margin) / c**0.5
        return jnp.where(norm > longest, x / jnp.where(norm > 0, norm, 1) * longest, x)

    def move(x: jax.Array, u: jax.Array) -> jax.Array:
        norm = jnp.linalg.norm(u, axis=-1, keepdims=True)
        length = c**0.5 * jnp.where(norm > 0, norm, 1)
        return project(_moebius_sum(c, x, jnp.tanh(factor(x) / 2 * length) / length * u))

    return Manifold(
        project=project,
        gradient=lambda x, g: g / factor(x) ** 2,
        inner=lambda x, u, v: factor(x) ** 2 * _dot(u, v),
        move=move,
        transport=lambda x, y, v: _gyration(c, y, -x, v) * factor(x) / factor(y),
    )


def _dot(u: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.sum(u * v, axis=-1, keepdims=True)


def _moebius_sum(c: float, x: jax.Array, y: jax.Array) -> jax.Array:
    """Moebius addition x (+) y, in the ball of radius 1 / sqrt(c)."""
    xx, xy, yy = _dot(x, x), _dot(x, y), _dot(y, y)
    numerator = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return numerator / (1 + 2 * c * xy + c**2 * xx * yy)


def _gyration(c: float, u: jax.Array, v: jax.Array, w: jax.Array) -> jax.Array:
    """gyr[u, v] w = -(u (+) v) (+) (u (+) (v (+) w)), in the closed form that is linear in w."""
    uu, uv, vv, uw, vw = _dot(u, u), _dot(u, v), _dot(v, v), _dot(u, w), _dot(v, w)
    a = -(c**2) * uw * vv + c * vw + 2 * c**2 * uv * vw
    b = -(c**2) * vw * uu - c * uw
    return w + 2 * (a * u + b * v) / (1 + 2 * c * uv + c**2 * uu * vv)
