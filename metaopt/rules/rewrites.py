"""Local rewrites: what one operation on known arguments may be replaced by.

They hold over the real numbers. Where floating point differs, `simplify` finds out and undoes them.
"""

import math
from collections.abc import Callable

import numpy as np

from metaopt.rules.graph import Graph, Ref, elementwise
from metaopt.rules.ops import EPS, OPS
from metaopt.rules.program import constant

Rewrite = Callable[[Graph, str, tuple[Ref, ...]], Ref | None]
"""`(graph, op, arguments) -> replacement`, or None where it does not apply."""


def fold(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """An operation on constants is a constant, if a finite one."""
    values = [graph.value(a) for a in args]
    if not values or not elementwise(op) or any(v is None for v in values):
        return None
    with np.errstate(all="ignore"):
        result = float(OPS[op].numpy(*(np.float64(v) for v in values)))
    try:
        return constant(result)
    except ValueError:
        return None


def neutral(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """Operations with a neutral or an absorbing argument, and on equal arguments."""
    x, y = (*args, None, None)[:2]
    match op:
        case "+" if _is(x, 0.0) or _is(y, 0.0):
            return y if _is(x, 0.0) else x
        case "-" if _is(y, 0.0):
            return x
        case "-" if x == y:
            return 0.0
        case "*" if _is(x, 1.0) or _is(y, 1.0):
            return y if _is(x, 1.0) else x
        case "*" if _is(x, 0.0) or _is(y, 0.0):
            return 0.0
        case "/" if _is(x, 0.0):
            return 0.0
        case "/" if isinstance(y, float) and y + EPS != 0:
            return graph.add("*", args[0], constant(1 / (y + EPS)))
        case "max" | "min" if x == y:
            return x
        case "power" if _is(y, 1.0):
            return x
        case "power" if _is(y, 0.0):
            return 1.0
        case "interp" if _is(args[2], 0.0) or x == y:
            return x
        case "interp" if _is(args[2], 1.0):
            return y
    return None


def _is(ref: Ref | None, value: float) -> bool:
    # A node's index is an int, and 1 == 1.0.
    return isinstance(ref, float) and ref == value


_INVERSES = {
    "negative": ("negative", "x"),
    "reciprocal": ("reciprocal", "x"),
    "invert": ("invert", "x"),
    "cube": ("cbrt", "x"),
    "cbrt": ("cube", "x"),
    "log": ("exp", "x"),
    "log2": ("exp2", "x"),
    "log10": ("exp10", "x"),
    "expm1": ("log1p", "invert"),
    "exp": ("log", "abs"),
    "exp2": ("log2", "abs"),
    "exp10": ("log10", "abs"),
    "sinh": ("arcsinh", "x"),
    "arcsinh": ("sinh", "x"),
    "tan": ("arctan", "x"),
    "arctanh": ("tanh", "x"),
    "sqrt": ("square", "abs"),
    "square": ("sqrt", "abs"),
    "abs": ("abs", "same"),
    "sign": ("sign", "same"),
}


def inverse(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """A function of its inverse, such as `negative(negative(x))`."""
    if op not in _INVERSES:
        return None
    inner, what = _INVERSES[op]
    node = graph.node(args[0])
    if node.op != inner:
        return None
    match what:
        case "x":
            return node.args[0]
        case "abs":
            return graph.add("abs", node.args[0])
        case "same":
            return args[0]
    return None


_EVEN = frozenset(
    {"abs", "square", "cos", "cosh", "norm", "global_norm", "log", "log2", "log10", "sqrt"}
)
_ODD = frozenset(
    {"sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "cube", "cbrt", "sign"}
)
_INCREASING_FROM_ZERO = frozenset({"cube", "cbrt", "sinh", "tanh", "arcsinh", "arctan", "expm1"})


def signs(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """Signs moved outwards or away: even and odd functions, sums and products of negatives."""
    inner = [graph.node(a) for a in args]
    negative = [n.op == "negative" for n in inner]
    match op:
        case "+" if negative[1]:
            return graph.add("-", args[0], inner[1].args[0])
        case "+" if negative[0]:
            return graph.add("-", args[1], inner[0].args[0])
        case "-" if negative[1]:
            return graph.add("+", args[0], inner[1].args[0])
        case "-" if _is(args[0], 0.0):
            return graph.add("negative", args[1])
        case "negative" if inner[0].op == "-":
            return graph.add("-", inner[0].args[1], inner[0].args[0])
        case "negative" if inner[0].op == "*" and isinstance(inner[0].args[0], float):
            return graph.add("*", -inner[0].args[0], inner[0].args[1])
        case "negative" if inner[0].op == "*" and isinstance(inner[0].args[1], float):
            return graph.add("*", inner[0].args[0], -inner[0].args[1])
        case "*" if all(negative):
            return graph.add("*", inner[0].args[0], inner[1].args[0])
        case "*" if _is(args[0], -1.0) or _is(args[1], -1.0):
            return graph.add("negative", args[1] if _is(args[0], -1.0) else args[0])
        case _ if op in _EVEN and inner[0].op in ("negative", "abs"):
            return graph.add(op, inner[0].args[0])
        case _ if op in _ODD and negative[0]:
            return graph.add("negative", graph.add(op, inner[0].args[0]))
        case "sign" if inner[0].op in _INCREASING_FROM_ZERO:
            return graph.add("sign", inner[0].args[0])
    return None


def scales(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """Constants gathered: `c * (d * x)`, `c + (d + x)`, and positive factors inside `sign`."""
    if op == "sign" and graph.node(args[0]).op == "*":
        factor, rest = _constant_first(graph.node(args[0]).args)
        if factor is not None and factor != 0:
            sign = graph.add("sign", rest)
            return sign if factor > 0 else graph.add("negative", sign)
    if op not in ("*", "+"):
        return None
    outer, x = _constant_first(args)
    node = graph.node(x)
    if outer is None or node.op != op:
        return None
    inner, rest = _constant_first(node.args)
    if inner is None:
        return None
    both = outer * inner if op == "*" else outer + inner
    return graph.add(op, constant(both), rest) if math.isfinite(both) else None


def _constant_first(args: tuple[Ref, ...]) -> tuple[float | None, Ref]:
    x, y = args
    if isinstance(x, float):
        return x, y
    return (y, x) if isinstance(y, float) else (None, x)


def powers(graph: Graph, op: str, args: tuple[Ref, ...]) -> Ref | None:
    """Products and powers that have a function of their own."""
    match op:
        case "*" if isinstance(args[0], int) and args[0] == args[1]:
            return graph.add("square", args[0])
        case "power" if _is(args[1], 2.0):
            return graph.add("square", args[0])
        case "power" if _is(args[1], 3.0):
            return graph.add("cube", args[0])
        case "power" if _is(args[1], -1.0):
            return graph.add("reciprocal", args[0])
        case "power" if _is(args[0], 10.0):
            return graph.add("exp10", args[1])
        case "power" if _is(args[0], 2.0):
            return graph.add("exp2", args[1])
    return None


REWRITES: tuple[Rewrite, ...] = (fold, neutral, inverse, signs, scales, powers)
"""Every local rewrite, in the order in which they are tried."""
