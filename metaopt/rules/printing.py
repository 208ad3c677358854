"""Values of a graph as Python expressions, with no more parentheses than precedence asks for."""

import builtins
import keyword
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from metaopt.rules.graph import INPUT, Graph, Node, Ref
from metaopt.rules.ops import OPS, Extent

ATOM, POWER, UNARY, PRODUCT, SUM = 100, 40, 30, 20, 10
MAX_NAME = 16
LIMIT = 66
"""Longer expressions are split into named parts, so that a line holds one thought."""

Text = tuple[str, int]
"""An expression and the precedence of its outermost operator."""


def number(value: float) -> str:
    """The shortest Python text of a number."""
    if math.isnan(value):
        return "jnp.nan"
    if math.isinf(value):
        return "jnp.inf" if value > 0 else "-jnp.inf"
    if value == int(value) and abs(value) < 1e6 and math.copysign(1, value) * value >= 0:
        return "-0.0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def complement(value: float) -> float:
    """`1 - value` as a person would: 0.999 for 0.001."""
    return float(1 - Decimal(repr(value)))


@dataclass
class Scope:
    """Names that are taken, so that every new one is free.

    Attributes:
      taken: the names in use.
    """

    taken: set[str] = field(
        default_factory=lambda: {*keyword.kwlist, *dir(builtins), "l", "O", "I"}
    )

    def fresh(self, hint: str) -> str:
        """A free name close to `hint`, which from now on is taken."""
        hint = hint[:MAX_NAME].strip("_") or "x"
        hint = hint if hint.isidentifier() else f"x{hint}"
        options = (hint, *(f"{hint}_{i}" for i in range(2, len(self.taken) + 3)))
        name = next(option for option in options if option not in self.taken)
        self.taken.add(name)
        return name


@dataclass
class Printer:
    """Prints the values of one graph.

    Attributes:
      graph: the graph.
      nonnegative: nodes under whose square roots and logarithms no absolute value is needed.
      constants: names of constants, by node and position of the argument.
      complements: nodes whose `interp` weight is named by its complement.
      leaf: text of the nodes that are variables where the expression stands.
      guard: text of what `/` adds to its divisor.
    """

    graph: Graph
    nonnegative: set[int]
    constants: dict[tuple[int, int], str]
    complements: set[int]
    leaf: dict[int, str]
    guard: str = "1e-8"
    like: str = "g"
    on_long: Callable[[int, str], str] | None = None
    _arrays: dict[int, bool] = field(default_factory=dict)

    def text(self, ref: Ref) -> Text:
        """The expression of a value."""
        if isinstance(ref, float):
            return _atom(number(ref))
        if ref in self.leaf:
            return self.leaf[ref], ATOM
        node = self.graph.nodes[ref]
        text = self._node(ref, node)
        while self.on_long and len(text[0]) > LIMIT:
            parts = [a for a in node.args if isinstance(a, int) and a not in self.leaf]
            if not parts:
                break
            longest = max(parts, key=lambda a: len(self.text(a)[0]))
            if self._small(longest):
                break
            self.leaf[longest] = self.on_long(longest, self.text(longest)[0])
            text = self._node(ref, node)
        return text

    def _small(self, index: int) -> bool:
        return len(self.text(index)[0]) <= MAX_NAME

    def argument(self, index: int, position: int) -> Text:
        """One argument of a node; a constant by its name if it has one."""
        if (index, position) in self.constants:
            return self.constants[index, position], ATOM
        return self.text(self.graph.nodes[index].args[position])

    def is_array(self, ref: Ref) -> bool:
        """Whether a value is surely an array: Python's own numbers raise where arrays hold inf."""
        if isinstance(ref, float):
            return False
        if ref not in self._arrays:  # once a node: a shared one is asked for along every path
            self._arrays[ref] = self._is_array(ref, self.graph.nodes[ref])
        return self._arrays[ref]

    def _is_array(self, ref: int, node: Node) -> bool:
        if node.op == INPUT:
            return self.graph.extents[ref] is Extent.TENSOR or node.name == "t"
        if node.op in ("+", "-", "*", "interp", "negative", "invert"):
            return any(self.is_array(a) for a in node.args)
        return bool(node.args)

    def _node(self, index: int, node: Node) -> Text:
        args = [self.argument(index, i) for i in range(len(node.args))]
        arrays = any(self.is_array(a) for a in node.args)
        match node.op:
            case "+":
                return _sum(args, node.args)
            case "-":
                return _difference(*args)
            case "*":
                scalars = [self.graph.extent(a) is Extent.SCALAR for a in node.args]
                products = [self.graph.node(a).op == "*" for a in node.args]
                return _product(args, scalars, products)
            case "/":
                guarded = _sum([args[1], (self.guard, ATOM)], ())
                return _quotient(args[0], guarded) if arrays else _call("divide", args[0], guarded)
            case "truediv":
                return _quotient(*args) if arrays else _call("divide", *args)
            case "negative":
                return negated(args[0])
            case "invert":
                return f"-1 - {within(args[0], SUM + 1)}", SUM
            case "interp":
                return self._interp(index, node, args)
            case "power" | "exp10" | "cube":
                base = ("10.0", ATOM) if node.op == "exp10" else args[0]
                exponent = ("3", ATOM) if node.op == "cube" else args[-1]
                return _power(base, exponent) if arrays else _call("power", base, exponent)
        return self._function(node, args)

    def _interp(self, index: int, node: Node, args: list[Text]) -> Text:
        x, y = (within(a, PRODUCT) for a in args[:2])
        weight = within(args[2], ATOM)
        rest = f"(1 - {within(args[2], SUM + 1)})"
        if index in self.complements:
            weight, rest = rest, weight
        # People write the old value first.
        if _is_state(self.graph, node.args[1]) and not _is_state(self.graph, node.args[0]):
            return f"{weight} * {y} + {rest} * {x}", SUM
        return f"{rest} * {x} + {weight} * {y}", SUM

    def _function(self, node: Node, args: list[Text]) -> Text:
        positive = bool(node.args) and self._is_nonnegative(node.args[0])
        texts = [a[0] for a in args]
        if node.op in ("sqrt", "log", "log2", "log10") and positive:
            return f"jnp.{node.op}({texts[0]})", ATOM
        if node.op == "log1p":
            inner = f"1 + {within(args[0], SUM + 1)}"
            return f"jnp.log({inner})" if positive else f"jnp.log(jnp.abs({inner}))", ATOM
        if node.op == "abs" and positive:
            return args[0]
        if node.op == "norm" and self.graph.extent(node.args[0]) is not Extent.TENSOR:
            texts = [f"jnp.full_like({self.like}, {texts[0]})"]
        source = OPS[node.op].source
        if (source.endswith(")") and source.count("(") == 1) or node.op in _NESTED or not texts:
            return source.format(*texts), ATOM
        return "(" + source.format(*(within(a, ATOM) for a in args)) + ")", ATOM

    def _is_nonnegative(self, ref: Ref) -> bool:
        return ref in self.nonnegative if isinstance(ref, int) else ref >= 0


_NESTED = frozenset({"sqrt", "log", "log2", "log10"})


def _is_state(graph: Graph, ref: Ref) -> bool:
    node = graph.node(ref)
    return node.op == INPUT and node.name in graph.program.states


def _atom(text: str) -> Text:
    return text, UNARY if text.startswith("-") else ATOM


def within(text: Text, precedence: int) -> str:
    """The expression, in parentheses if it binds less tightly than `precedence`."""
    return text[0] if text[1] >= precedence else f"({text[0]})"


def negated(text: Text) -> Text:
    """Minus an expression."""
    if text[0].startswith("-") and text[1] != SUM:
        return text[0][1:], max(text[1], PRODUCT) if text[1] == PRODUCT else ATOM
    if text[1] == POWER or (text[1] == PRODUCT and _starts_with_power(text[0])):
        return f"-({text[0]})", UNARY
    return f"-{within(text, PRODUCT)}", min(max(text[1], PRODUCT), UNARY)


def _starts_with_power(product: str) -> bool:
    """Whether the first factor of a product is a power, whose sign would be easy to misread."""
    depth = 0
    for i, character in enumerate(product):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and character in "*/":
            return product[i : i + 2] == "**"
    return False


def _starts_negative(text: Text) -> bool:
    return text[0].startswith("-") and text[1] != SUM


def _sum(args: list[Text], refs: tuple[Ref, ...]) -> Text:
    x, y = args
    # Addition commutes exactly, so a sum or a positive term may go first.
    if (y[1] == SUM and x[1] > SUM) or (_starts_negative(x) and not _starts_negative(y)):
        x, y = y, x
    if refs and isinstance(refs[0], float) and x == args[0] and y[1] > SUM and x[0][0] != "-":
        return f"{x[0]} + {within(y, SUM + 1)}", SUM
    if _starts_negative(y):
        return f"{x[0]} - {negated(y)[0]}", SUM
    return f"{x[0]} + {within(y, SUM + 1)}", SUM


def _difference(x: Text, y: Text) -> Text:
    if _starts_negative(y):
        return f"{x[0]} + {negated(y)[0]}", SUM
    return f"{x[0]} - {within(y, SUM + 1)}", SUM


def _product(args: list[Text], scalars: list[bool], products: list[bool]) -> Text:
    x, y = args
    if (products[1] and not products[0]) or (scalars[1] and not scalars[0] and not products[0]):
        x, y = y, x
    if x[0] == "-1":
        return negated(y)
    return f"{within(x, PRODUCT)} * {within(y, PRODUCT + 1)}", PRODUCT


def _quotient(x: Text, y: Text) -> Text:
    return f"{within(x, PRODUCT)} / {within(y, PRODUCT + 1)}", PRODUCT


def _power(x: Text, y: Text) -> Text:
    base = within(x, POWER + 1)
    exponent = f"({y[0]})" if y[1] == POWER else within(y, UNARY)
    simple = all(
        t.replace(".", "").replace("_", "").isalnum() for t in (base, exponent.lstrip("-"))
    )
    return f"{base}**{exponent}" if simple else f"{base} ** {exponent}", POWER


def _call(name: str, *args: Text) -> Text:
    return f"jnp.{name}({', '.join(a[0] for a in args)})", ATOM
