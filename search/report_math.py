"""A rule as equations: MathML, which browsers typeset without help."""

import html
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from metaopt.rules.graph import INPUT, Graph, Ref, graph_of, nonnegative
from metaopt.rules.program import Program, format_constant

SUM, PRODUCT, POWER, ATOM = range(4)
"""How tightly an expression holds together; looser ones get parentheses inside tighter ones."""

_LARGE = 14
"""An expression of more symbols than this gets an equation of its own."""

Text = tuple[str, int]


def equations(program: Program) -> list[str]:
    """The equations of a rule, best simplified; each a `<math>` element.

    States at step t are written from those at step t - 1. Divisors are guarded by a small epsilon.
    """
    return _Equations(graph_of(program)).lines()


def _mi(name: str) -> str:
    return f"<mi>{html.escape(name)}</mi>"


def _mo(sign: str) -> str:
    return f"<mo>{sign}</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _at(name: str, time: str) -> str:
    return f"<msub>{_mi(name)}<mrow>{time}</mrow></msub>"


_NOW = _mi("t")
_BEFORE = _row(_mi("t"), _mo("−"), "<mn>1</mn>")
_AFTER = _row(_mi("t"), _mo("+"), "<mn>1</mn>")


def _fenced(inner: str, left: str = "(", right: str = ")") -> str:
    opening = f'<mo fence="true" form="prefix">{left}</mo>'
    return _row(opening, inner, f'<mo fence="true" form="postfix">{right}</mo>')


def _call(name: str, *args: str) -> Text:
    inner = _mo(",").join(args)
    return _row(_mi(name), "<mo>&#x2061;</mo>", _fenced(inner)), PRODUCT


@dataclass
class _Equations:
    graph: Graph
    names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self):
        graph = self.graph
        self.sure = nonnegative(graph)
        self.live = graph.live()
        self.states = dict(zip(graph.program.states, graph.outputs[1:], strict=True))
        uses = Counter(a for i in self.live for a in graph.nodes[i].args if isinstance(a, int))
        size: dict[int, int] = {}
        taken = {"w", "g", "t", "lr", *self.states}
        for index in self.live:
            node = graph.nodes[index]
            if node.op == INPUT:
                size[index] = 1
                continue
            size[index] = 1 + sum(size[a] if isinstance(a, int) else 1 for a in node.args)
            state = next((s for s, output in self.states.items() if output == index), None)
            if state is not None:
                self.names[index] = _at(state, _NOW)
            elif (
                node.args
                and index != graph.outputs[0]
                and (size[index] > (2 if uses[index] > 1 else _LARGE))
            ):
                self.names[index] = _at(self._fresh(index, taken), _NOW)
            if index in self.names:
                size[index] = 1

    def _fresh(self, index: int, taken: set[str]) -> str:
        hint = self.graph.hints.get(index, "x")
        name = hint
        while name in taken:
            name += "′"
        taken.add(name)
        return name

    def lines(self) -> list[str]:
        """The equations, in the order of computation; the last gives the new parameters."""
        rows = [(self.names[i], self.expression(i)[0]) for i in self.live if i in self.names]
        for state, output in self.states.items():
            name = _at(state, _NOW)
            if not (isinstance(output, int) and self.names.get(output) == name):
                rows.append((name, self.text(output)[0]))
        update = self.text(self.graph.outputs[0])
        new = _row(_at("w", _NOW), _mo("−"), self._within(update, PRODUCT))
        rows.append((_at("w", _AFTER), new))
        start = '<math display="block" xmlns="http://www.w3.org/1998/Math/MathML">'
        return [f"{start}{_row(left, _mo('='), right)}</math>" for left, right in rows]

    def text(self, ref: Ref) -> Text:
        """An expression as it appears inside another."""
        if not isinstance(ref, int):
            return _number(ref)
        if ref in self.names:
            return self.names[ref], ATOM
        return self.expression(ref)

    def expression(self, index: int) -> Text:
        """What a node computes."""
        node = self.graph.nodes[index]
        if node.op == INPUT:
            return self._input(node.name), ATOM
        args = [self.text(a) for a in node.args]
        if node.op in _WRITERS:
            return _WRITERS[node.op](self, node.args, args)
        return _call(node.op, *(text for text, _ in args))

    def _input(self, name: str) -> str:
        if name in ("w", "g"):
            return _at(name, _NOW)
        if name in self.states:
            return _at(name, _BEFORE)
        return _at("η", _NOW) if name == "lr" else _mi(name)

    def _within(self, text: Text, level: int) -> str:
        return text[0] if text[1] >= level else _fenced(text[0])

    # ------------------------------------------------------------ operations

    def plus(self, _: tuple[Ref, ...], args: list[Text]) -> Text:
        return _row(args[0][0], _mo("+"), args[1][0]), SUM

    def minus(self, _: tuple[Ref, ...], args: list[Text]) -> Text:
        return _row(args[0][0], _mo("−"), self._within(args[1], PRODUCT)), SUM

    def times(self, refs: tuple[Ref, ...], args: list[Text]) -> Text:
        # Numbers come first, sums and fractions last.
        last, first = (isinstance(refs[i], float) for i in (0, 1))
        large = [level == SUM or text.startswith("<mfrac") for text, level in args]
        if (first and not last) or (not last and large[0] and not large[1]):
            args = args[::-1]
        both = all(isinstance(ref, float) for ref in refs)
        sign = _mo("·") if both else '<mspace width="0.17em"/>'
        return _row(self._within(args[0], PRODUCT), sign, self._within(args[1], PRODUCT)), PRODUCT

    def over(self, refs: tuple[Ref, ...], args: list[Text]) -> Text:
        divisor = args[1][0]
        if not isinstance(refs[1], float):
            divisor = _row(divisor, _mo("+"), _mi("ε"))
        return f"<mfrac>{_row(args[0][0])}{_row(divisor)}</mfrac>", PRODUCT

    def interp(self, refs: tuple[Ref, ...], args: list[Text]) -> Text:
        weight = refs[2]
        if isinstance(weight, float):
            rest = _number(float(f"{1 - weight:.7g}"))
        else:
            rest = (_row("<mn>1</mn>", _mo("−"), self._within(args[2], PRODUCT)), SUM)
        space = '<mspace width="0.17em"/>'
        old = _row(self._within(args[2], PRODUCT), space, self._within(args[1], PRODUCT))
        new = _row(self._within(rest, PRODUCT), space, self._within(args[0], PRODUCT))
        return _row(old, _mo("+"), new), SUM

    def sqrt(self, refs: tuple[Ref, ...], args: list[Text]) -> Text:
        inner = args[0][0]
        sure = isinstance(refs[0], int) and refs[0] in self.sure
        return f"<msqrt>{inner if sure else _fenced(inner, '|', '|')}</msqrt>", ATOM

    def power(self, _: tuple[Ref, ...], args: list[Text]) -> Text:
        return f"<msup>{self._within(args[0], ATOM)}{_row(args[1][0])}</msup>", POWER

    def to_the(self, exponent: int) -> Callable[[tuple[Ref, ...], list[Text]], Text]:
        return lambda _, args: (
            f"<msup>{self._within(args[0], ATOM)}<mn>{exponent}</mn></msup>",
            POWER,
        )

    def logarithm(self, base: str, inner: str) -> Text:
        name = _mi("ln") if not base else f"<msub>{_mi('log')}<mn>{base}</mn></msub>"
        return _row(name, "<mo>&#x2061;</mo>", _fenced(inner, "|", "|")), PRODUCT

    def norm(self, inner: str, over: str) -> Text:
        return f"<msub>{_fenced(inner, '‖', '‖')}<mtext>{over}</mtext></msub>", ATOM

    def negative(self, _: tuple[Ref, ...], args: list[Text]) -> Text:
        return _row(_mo("−"), self._within(args[0], PRODUCT)), SUM


def _exponential(base: str) -> Callable:
    return lambda self, refs, args: (f"<msup>{base}{_row(args[0][0])}</msup>", POWER)


_WRITERS: dict[str, Callable[[_Equations, tuple[Ref, ...], list[Text]], Text]] = {
    "+": _Equations.plus,
    "-": _Equations.minus,
    "*": _Equations.times,
    "/": _Equations.over,
    "interp": _Equations.interp,
    "sqrt": _Equations.sqrt,
    "power": _Equations.power,
    "negative": _Equations.negative,
    "square": lambda self, refs, args: self.to_the(2)(refs, args),
    "cube": lambda self, refs, args: self.to_the(3)(refs, args),
    "cbrt": lambda self, refs, args: (f"<mroot>{_row(args[0][0])}<mn>3</mn></mroot>", ATOM),
    "abs": lambda self, refs, args: (_fenced(args[0][0], "|", "|"), ATOM),
    "exp": _exponential("<mi>e</mi>"),
    "exp2": _exponential("<mn>2</mn>"),
    "exp10": _exponential("<mn>10</mn>"),
    "expm1": lambda self, refs, args: (
        _row(f"<msup><mi>e</mi>{_row(args[0][0])}</msup>", _mo("−"), "<mn>1</mn>"),
        SUM,
    ),
    "log": lambda self, refs, args: self.logarithm("", args[0][0]),
    "log2": lambda self, refs, args: self.logarithm("2", args[0][0]),
    "log10": lambda self, refs, args: self.logarithm("10", args[0][0]),
    "log1p": lambda self, refs, args: self.logarithm("", f"<mn>1</mn>{_mo('+')}{args[0][0]}"),
    "reciprocal": lambda self, refs, args: (
        f"<mfrac><mn>1</mn>{_row(args[0][0])}</mfrac>",
        PRODUCT,
    ),
    "invert": lambda self, refs, args: (
        _row(_mo("−"), "<mn>1</mn>", _mo("−"), self._within(args[0], PRODUCT)),
        SUM,
    ),
    "norm": lambda self, refs, args: self.norm(args[0][0], "tensor"),
    "global_norm": lambda self, refs, args: self.norm(args[0][0], "model"),
    "dot": lambda self, refs, args: (_fenced(args[0][0] + _mo(",") + args[1][0], "⟨", "⟩"), ATOM),
    "cosine_sim": lambda self, refs, args: _call("cos∠", args[0][0], args[1][0]),
    "clip_by_global_norm": lambda self, refs, args: _call("clip", args[0][0], args[1][0]),
    "pi": lambda self, refs, args: (_mi("π"), ATOM),
    "e": lambda self, refs, args: (_mi("e"), ATOM),
    "eps": lambda self, refs, args: (_mi("ε"), ATOM),
}


def _number(value: float) -> Text:
    text = format_constant(abs(value))
    if "e" in text:
        digits, exponent = text.split("e")
        sign = _mo("−") if int(exponent) < 0 else ""
        power = f"<msup><mn>10</mn><mrow>{sign}<mn>{abs(int(exponent))}</mn></mrow></msup>"
        body = power if digits == "1" else _row(f"<mn>{digits}</mn>", _mo("·"), power)
        level = PRODUCT
    else:
        body, level = f"<mn>{text}</mn>", ATOM
    return (_row(_mo("−"), body), SUM) if value < 0 else (body, level)
