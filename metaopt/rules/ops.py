"""The operations of the rule language: one table, the single source of every meaning.

The 45 functions are those of Lion's search space (Chen et al., "Symbolic Discovery of Optimization
Algorithms", arXiv 2302.06675, appendix). A variable of a rule is a tree of tensors shaped like the
parameters; a scalar is such a tree with one value everywhere, so reductions first see their
arguments broadcast. To add an operation, add a row to `_TABLE`.

Guards, as in the published search code: `log*` and `sqrt` take the absolute value of their
argument, and `x / y` is `x / (y + EPS)`. Two rows needed a decision of ours: `invert`, which on
floating-point numbers has no meaning in the published code, is the bitwise complement continued to
the reals, `-1 - x`; and `cosine_sim` guards its division too, so that it is defined on a state that
is still zero.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import sympy

EPS = 1e-8
"""The guard that `/` adds to its divisor; also the value of `eps()`."""


class Extent(enum.IntEnum):
    """How far one value of a variable reaches; smaller extents broadcast to larger ones."""

    SCALAR = 0  # one value for the whole model
    PER_TENSOR = 1  # one value for each parameter tensor
    TENSOR = 2  # one value for each parameter


class Reduces(enum.IntEnum):
    """What an operation sums over."""

    NOTHING = 0  # elementwise: the result is as wide as the widest argument
    EACH_TENSOR = 1  # one value for each parameter tensor
    MODEL = 2  # one value for the whole model
    RESCALES = 3  # sums over the model, but the result is as wide as the first argument


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
      name: how a rule writes it: a function name, or one of `+ - * /`.
      numpy: the meaning on numpy arrays. A reducing operation takes, before its arguments, the
        function that sums over what it reduces.
      jax: the same on JAX arrays.
      sympy: the same on real sympy expressions; None where it has no closed form (reductions).
      source: how exported Python writes it, with `{0}`, `{1}`, ... for the arguments.
      arity: number of arguments, 0 to 3.
      scalar_args: positions of the arguments that must be scalars.
      reduces: what it sums over.
      commutative: whether the first two arguments may be exchanged.
    """

    name: str
    numpy: Callable[..., Any]
    jax: Callable[..., Any]
    sympy: Callable[..., Any] | None
    source: str
    arity: int = 1
    scalar_args: tuple[int, ...] = ()
    reduces: Reduces = Reduces.NOTHING
    commutative: bool = False
    code: int = field(default=-1, compare=False)

    @property
    def infix(self) -> bool:
        """Whether a rule writes it between its arguments."""
        return not self.name.isidentifier()

    def result(self, extents: tuple[int, ...]) -> Extent:
        """The extent of the result, given those of the arguments."""
        if self.reduces is Reduces.EACH_TENSOR:
            return Extent.PER_TENSOR
        if self.reduces is Reduces.MODEL or not extents:
            return Extent.SCALAR
        return Extent(extents[0] if self.reduces is Reduces.RESCALES else max(extents))


def _same(name: str, symbolic: Callable[..., Any], source: str | None = None) -> Op:
    """An elementwise function of one argument that numpy and jax.numpy call `name`."""
    return Op(name, getattr(np, name), getattr(jnp, name), symbolic, source or f"jnp.{name}({{0}})")


def _log_abs(name: str, base: sympy.Expr | int) -> Op:
    numpy_log, jax_log = getattr(np, name), getattr(jnp, name)
    return Op(
        name,
        lambda x: numpy_log(np.abs(x)),
        lambda x: jax_log(jnp.abs(x)),
        lambda x: sympy.log(sympy.Abs(x)) / sympy.log(base),
        f"jnp.{name}(jnp.abs({{0}}))",
    )


def _binary(name: str, np_f: Any, jnp_f: Any, sym: Any, source: str, commutative: bool) -> Op:
    return Op(name, np_f, jnp_f, sym, source, arity=2, commutative=commutative)


def _constant(name: str, value: float, symbolic: sympy.Expr, source: str) -> Op:
    return Op(name, lambda: value, lambda: value, lambda: symbolic, source, arity=0)


def _interp(x: Any, y: Any, a: Any) -> Any:
    return (1 - a) * x + a * y


_TABLE = (
    _binary("+", np.add, jnp.add, lambda x, y: x + y, "{0} + {1}", True),
    _binary("-", np.subtract, jnp.subtract, lambda x, y: x - y, "{0} - {1}", False),
    _binary("*", np.multiply, jnp.multiply, lambda x, y: x * y, "{0} * {1}", True),
    _binary(
        "/",
        lambda x, y: x / (y + EPS),
        lambda x, y: x / (y + EPS),
        lambda x, y: x / (y + EPS),
        "{0} / ({1} + 1e-8)",
        False,
    ),
    _binary("max", np.maximum, jnp.maximum, sympy.Max, "jnp.maximum({0}, {1})", True),
    _binary("min", np.minimum, jnp.minimum, sympy.Min, "jnp.minimum({0}, {1})", True),
    _constant("pi", float(np.pi), sympy.pi, "jnp.pi"),
    _constant("e", float(np.e), sympy.E, "jnp.e"),
    _constant("eps", EPS, sympy.Float(EPS), "1e-8"),
    _same("abs", sympy.Abs),
    _same("cos", sympy.cos),
    _same("sin", sympy.sin),
    _same("tan", sympy.tan),
    _same("arcsin", sympy.asin),
    _same("arccos", sympy.acos),
    _same("arctan", sympy.atan),
    _same("sinh", sympy.sinh),
    _same("cosh", sympy.cosh),
    _same("tanh", sympy.tanh),
    _same("arcsinh", sympy.asinh),
    _same("arccosh", sympy.acosh),
    _same("arctanh", sympy.atanh),
    _same("exp", sympy.exp),
    _same("exp2", lambda x: sympy.Pow(2, x)),
    Op(
        "exp10",
        lambda x: np.power(10.0, x),
        lambda x: jnp.power(10.0, x),
        lambda x: sympy.Pow(10, x),
        "10.0 ** {0}",
    ),
    _same("expm1", lambda x: sympy.exp(x) - 1),
    _log_abs("log", sympy.E),
    _log_abs("log10", 10),
    _log_abs("log2", 2),
    Op(
        "log1p",
        lambda x: np.log(np.abs(1 + x)),
        lambda x: jnp.log(jnp.abs(1 + x)),
        lambda x: sympy.log(sympy.Abs(1 + x)),
        "jnp.log(jnp.abs(1 + {0}))",
    ),
    _same("square", lambda x: x**2),
    Op(
        "sqrt",
        lambda x: np.sqrt(np.abs(x)),
        lambda x: jnp.sqrt(jnp.abs(x)),
        lambda x: sympy.sqrt(sympy.Abs(x)),
        "jnp.sqrt(jnp.abs({0}))",
    ),
    Op("cube", lambda x: x * x * x, lambda x: x * x * x, lambda x: x**3, "{0} ** 3"),
    _same("cbrt", lambda x: sympy.sign(x) * sympy.cbrt(sympy.Abs(x))),
    # numpy turns -0 into 0, JAX keeps it, and `reciprocal` sees the difference.
    Op(
        "sign",
        lambda x: np.where(np.equal(x, 0), x, np.sign(x)),
        jnp.sign,
        sympy.sign,
        "jnp.sign({0})",
    ),
    Op("reciprocal", np.reciprocal, lambda x: 1.0 / x, lambda x: 1 / x, "1 / {0}"),
    Op("invert", lambda x: -1 - x, lambda x: -1 - x, lambda x: -1 - x, "-1 - {0}"),
    Op("negative", np.negative, jnp.negative, lambda x: -x, "-{0}"),
    Op(
        "norm",
        lambda total, x: np.sqrt(total(x * x)),
        lambda total, x: jnp.sqrt(total(x * x)),
        None,
        "jnp.linalg.norm({0})",
        reduces=Reduces.EACH_TENSOR,
    ),
    Op(
        "global_norm",
        lambda total, x: np.sqrt(total(x * x)),
        lambda total, x: jnp.sqrt(total(x * x)),
        None,
        "optax.tree.norm({0})",
        reduces=Reduces.MODEL,
    ),
    Op(
        "dot",
        lambda total, x, y: total(x * y),
        lambda total, x, y: total(x * y),
        None,
        "optax.tree.vdot({0}, {1})",
        arity=2,
        reduces=Reduces.MODEL,
        commutative=True,
    ),
    Op(
        "cosine_sim",
        lambda total, x, y: total(x * y) / (np.sqrt(total(x * x)) * np.sqrt(total(y * y)) + EPS),
        lambda total, x, y: total(x * y) / (jnp.sqrt(total(x * x)) * jnp.sqrt(total(y * y)) + EPS),
        None,
        "optax.tree.vdot({0}, {1}) / (optax.tree.norm({0}) * optax.tree.norm({1}) + 1e-8)",
        arity=2,
        reduces=Reduces.MODEL,
        commutative=True,
    ),
    _binary("power", np.power, jnp.power, sympy.Pow, "jnp.power({0}, {1})", False),
    Op(
        "clip_by_global_norm",
        lambda total, x, c: np.minimum(1.0, c / np.sqrt(total(x * x))) * x,
        lambda total, x, c: jnp.minimum(1.0, c / jnp.sqrt(total(x * x))) * x,
        None,
        "jnp.minimum(1.0, {1} / optax.tree.norm({0})) * {0}",
        arity=2,
        scalar_args=(1,),
        reduces=Reduces.RESCALES,
    ),
    Op(
        "interp",
        _interp,
        _interp,
        _interp,
        "(1 - {2}) * {0} + {2} * {1}",
        arity=3,
        scalar_args=(2,),
    ),
)

OPS: dict[str, Op] = {
    op.name: Op(**{**op.__dict__, "code": code}) for code, op in enumerate(_TABLE)
}
"""Every operation by name, in the order of their codes."""

BY_CODE: tuple[Op, ...] = tuple(OPS.values())
MAX_ARITY = max(op.arity for op in BY_CODE)

# The table's columns as arrays, for code that works on genomes.
ARITY = np.array([op.arity for op in BY_CODE], np.int32)
REDUCES = np.array([op.reduces for op in BY_CODE], np.int32)
TAKES_SCALAR = np.array(
    [[i in op.scalar_args for i in range(MAX_ARITY)] for op in BY_CODE], np.bool_
)
