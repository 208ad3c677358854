"""Elementwise expressions to sympy and back."""

from collections.abc import Callable, Iterator
from typing import Any

import sympy

from metaopt.rules.graph import INPUT, Graph, Ref, elementwise
from metaopt.rules.ops import EPS, OPS
from metaopt.rules.program import constant

MAX_SIZE = 24
"""Larger expressions are left alone, which bounds the time."""

_FUNCTIONS: dict[type, str] = {
    sympy.Abs: "abs",
    sympy.cos: "cos",
    sympy.sin: "sin",
    sympy.tan: "tan",
    sympy.asin: "arcsin",
    sympy.acos: "arccos",
    sympy.atan: "arctan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.asinh: "arcsinh",
    sympy.acosh: "arccosh",
    sympy.atanh: "arctanh",
    sympy.exp: "exp",
    sympy.sign: "sign",
}

STEPS: tuple[Callable[[sympy.Expr], sympy.Expr], ...] = (
    lambda e: e,
    lambda e: sympy.factor_terms(e),
    lambda e: sympy.powsimp(e),
)
"""Ways to rewrite that take time in proportion to the expression (sympy.simplify does not)."""


class Unsupported(Exception):
    """An expression that has no counterpart on the other side."""


def candidates(graph: Graph) -> Iterator[Graph]:
    """Graphs with one elementwise expression each rewritten by sympy's rules."""
    for root in _roots(graph):
        try:
            symbols: dict[sympy.Symbol, Ref] = {}
            expression = _to_sympy(graph, root, symbols)
        except (Unsupported, *_SYMPY_ERRORS):
            continue
        for step in STEPS:
            try:
                yield _replaced(graph, root, step(expression), symbols)
            except (Unsupported, *_SYMPY_ERRORS):
                continue


# What sympy raises on expressions outside a function's domain.
_SYMPY_ERRORS = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def _roots(graph: Graph) -> list[int]:
    """The elementwise values whose expressions are small enough to be worth the time."""
    nodes = [(i, graph.nodes[i]) for i in graph.live()]
    inner = [i for i, node in nodes if node.op != INPUT and node.args and elementwise(node.op)]
    return [i for i in inner if 2 < _size(graph, i) <= MAX_SIZE]


def _size(graph: Graph, root: int) -> int:
    sizes: dict[int, int] = {}
    for index in range(root + 1):
        node = graph.nodes[index]
        inner = node.args if node.op != INPUT and elementwise(node.op) else ()
        sizes[index] = 1 + sum(sizes[a] for a in inner if isinstance(a, int))
    return sizes[root]


def _to_sympy(graph: Graph, ref: Ref, symbols: dict[sympy.Symbol, Ref]) -> sympy.Expr:
    if isinstance(ref, float):
        small = ref == int(ref) and abs(ref) <= 16
        return sympy.Integer(int(ref)) if small else sympy.Float(repr(ref))
    node = graph.nodes[ref]
    if node.op != INPUT and node.args and all(graph.value(a) is not None for a in node.args):
        # Folding left it, so it is not finite or too large; sympy could take forever over it.
        raise Unsupported
    meaning = None if node.op == INPUT else OPS[node.op].sympy
    if meaning is None:
        symbol = sympy.Symbol(f"v{ref}", real=True)
        symbols[symbol] = ref
        return symbol
    return meaning(*(_to_sympy(graph, a, symbols) for a in node.args))


def _replaced(
    graph: Graph, root: int, expression: sympy.Expr, symbols: dict[sympy.Symbol, Ref]
) -> Graph:
    """A copy of the graph in which `root` is computed as `expression` says."""
    new = Graph(graph.program)
    table: dict[int, Ref] = {}
    for index in range(len(graph.nodes)):
        node = graph.nodes[index]
        if node.op == INPUT:
            table[index] = new.input(node.name)
        elif index == root:
            inner = {s: table[r] if isinstance(r, int) else r for s, r in symbols.items()}
            table[index] = _from_sympy(new, expression, inner)
        else:
            table[index] = new.add(
                node.op, *(table[a] if isinstance(a, int) else a for a in node.args)
            )
        ref = table[index]
        if isinstance(ref, int) and index in graph.hints:
            new.hints.setdefault(ref, graph.hints[index])
    new.outputs = tuple(table[o] if isinstance(o, int) else o for o in graph.outputs)
    return new


def _from_sympy(graph: Graph, e: Any, symbols: dict[sympy.Symbol, Ref]) -> Ref:
    if isinstance(e, sympy.Symbol):
        return symbols[e]
    if e.is_number:
        value = complex(e)
        if value.imag or value.real != value.real:
            raise Unsupported
        return constant(value.real)

    def back(x: Any) -> Ref:
        return _from_sympy(graph, x, symbols)

    if isinstance(e, sympy.Add):
        return _sum(graph, e, back)
    if isinstance(e, sympy.Mul):
        return _product(graph, e, back)
    if isinstance(e, sympy.Pow):
        return _power(graph, *e.as_base_exp(), back)
    if isinstance(e, sympy.log) and isinstance(e.args[0], sympy.Abs):
        return graph.add("log", back(e.args[0].args[0]))
    if isinstance(e, sympy.Max | sympy.Min):
        return _chain(
            graph, "max" if isinstance(e, sympy.Max) else "min", (back(x) for x in e.args)
        )
    if type(e) in _FUNCTIONS:
        return graph.add(_FUNCTIONS[type(e)], back(e.args[0]))
    raise Unsupported


Back = Callable[[Any], Ref]


def _chain(graph: Graph, op: str, refs: Iterator[Ref]) -> Ref:
    first, *rest = refs
    for ref in rest:
        first = graph.add(op, first, ref)
    return first


def _sum(graph: Graph, e: Any, back: Back) -> Ref:
    positive, negative = [], []
    for term in e.args:
        minus = term.could_extract_minus_sign()
        (negative if minus else positive).append(-term if minus else term)
    if not positive:
        return graph.add("negative", _chain(graph, "+", map(back, negative)))
    total = _chain(graph, "+", map(back, positive))
    for term in negative:
        total = graph.add("-", total, back(term))
    return total


def _product(graph: Graph, e: Any, back: Back) -> Ref:
    guarded, plain = [], []
    for factor in e.args:
        rest = _without_guard(factor)
        (plain if rest is None else guarded).append(factor if rest is None else rest)
    minus = sympy.Integer(-1) in plain
    if minus:
        plain.remove(sympy.Integer(-1))
    product = _chain(graph, "*", map(back, plain)) if plain else 1.0
    for divisor in guarded:
        product = graph.add("/", product, back(divisor))
    return graph.add("negative", product) if minus else product


def _without_guard(factor: sympy.Expr) -> sympy.Expr | None:
    """The `y` of a factor `1 / (y + EPS)`."""
    base, exponent = factor.as_base_exp()
    if exponent != -1 or not isinstance(base, sympy.Add):
        return None
    guards = [t for t in base.args if isinstance(t, sympy.Float) and abs(t / EPS - 1) < 1e-6]
    return base - guards[0] if guards else None


def _power(graph: Graph, base: sympy.Expr, exponent: sympy.Expr, back: Back) -> Ref:
    named = {2: "square", 3: "cube", -1: "reciprocal"}
    if exponent in named:
        rest = _without_guard(base**exponent) if exponent == -1 else None
        if rest is not None:
            return graph.add("/", 1.0, back(rest))
        return graph.add(named[int(exponent)], back(base))
    if exponent in (sympy.Rational(1, 2), sympy.Rational(-1, 2)):
        inner = base.args[0] if isinstance(base, sympy.Abs) else base
        root = graph.add("sqrt", back(inner))
        return root if exponent > 0 else graph.add("reciprocal", root)
    if base == 10 or base == 2:
        return graph.add("exp10" if base == 10 else "exp2", back(exponent))
    return graph.add("power", back(base), back(exponent))
