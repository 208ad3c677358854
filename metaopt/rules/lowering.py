"""What a program's graph becomes before it is printed: roles of constants, plain divisions."""

from dataclasses import dataclass

import numpy as np

from metaopt.rules.graph import Graph, Ref, elementwise, graph_of, program_of
from metaopt.rules.ops import OPS, Extent
from metaopt.rules.printing import Scope, complement
from metaopt.rules.program import PARAMETERS, RATE, Program

_STRUCTURAL = frozenset({0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 4.0})


def learning_rate_scale(program: Program) -> tuple[Program, float]:
    """The rule without the constant that it multiplies the learning rate by, and that constant.

    Where a rule reads `lr` only as `lr * c` with one constant `c`, the product is dropped: the
    result, run with `c` times the learning rate, is the same rule. Otherwise the rule comes back as
    it is, with 1.0.
    """
    graph = graph_of(program)
    rate = graph.input(RATE)
    scaled = [i for i in graph.live() if _takes(graph.nodes[i].args, rate)]
    users = [graph.nodes[i] for i in scaled]
    factors = {a for n in users for a in n.args if isinstance(a, float)}
    plain = all(n.op == "*" and any(isinstance(a, float) for a in n.args) for n in users)
    if not plain or len(factors) != 1 or rate in graph.outputs:
        return program, 1.0
    (factor,) = factors

    def build(new: Graph, index: int, args: tuple[Ref, ...]) -> Ref:
        return new.input(RATE) if index in scaled else new.add(graph.nodes[index].op, *args)

    return program_of(graph.mapped(build)), factor


def _takes(args: tuple[Ref, ...], node: int) -> bool:
    # Not `node in args`: the constant 1.0 equals the node 1.
    return any(isinstance(a, int) and a == node for a in args)


def lowered(graph: Graph) -> Graph:
    """The graph with unguarded divisions where it had reciprocals, and with constants folded.

    `truediv` is the only operation beyond the table's.
    """

    def divide(new: Graph, x: Ref, y: Ref) -> int:
        return new.extended("truediv", max(new.extent(x), new.extent(y)), x, y)

    def build(new: Graph, index: int, args: tuple[Ref, ...]) -> Ref:
        op = graph.nodes[index].op
        values = [new.value(a) for a in args]
        if values and elementwise(op) and all(v is not None for v in values):
            with np.errstate(all="ignore"):
                return float(OPS[op].numpy(*(np.float64(v) for v in values)))
        if op == "reciprocal":
            return divide(new, 1.0, args[0])
        if op == "clip_by_global_norm":
            factor = new.add("min", 1.0, divide(new, args[1], new.add("global_norm", args[0])))
            return new.add("*", factor, args[0])
        if op == "cosine_sim":
            norms = [new.add("global_norm", a) for a in args]
            return new.add("/", new.add("dot", *args), new.add("*", *norms))
        if op == "*":
            for one, other in (args, args[::-1]):
                node = new.node(one)
                if node.op == "truediv" and isinstance(node.args[0], float) and node.args[0] == 1:
                    return divide(new, other, node.args[1])
        return new.add(op, *args)

    return graph.mapped(build)


@dataclass(frozen=True)
class Direction:
    """An update as Optax composes it: `lr * (direction + decay * w)`.

    Attributes:
      direction: what the states and the gradient give.
      decay: the factor on the parameters, None for no decay.
    """

    direction: Ref
    decay: Ref | None


def composition(graph: Graph) -> Direction | None:
    """The update's parts, None where it is not of that form."""
    rate = graph.input(RATE)
    direction = _without_rate(graph, graph.outputs[0], rate)
    if direction is None or _reaches(graph, (direction, *graph.outputs[1:]), rate):
        return None
    node = graph.node(direction)
    if node.op == "+" and not _reaches(graph, graph.outputs[1:], direction):
        for rest, term in (node.args, node.args[::-1]):
            decay = _decay(graph, term)
            if decay is not None and graph.extent(rest) is not Extent.SCALAR:
                return Direction(rest, decay)
    return Direction(direction, None)


def _without_rate(graph: Graph, ref: Ref, rate: int) -> Ref | None:
    node = graph.node(ref)
    if node.op == "*":
        for factor, rest in (node.args, node.args[::-1]):
            if isinstance(factor, int) and factor == rate:
                return rest
    return None


def _reaches(graph: Graph, refs: tuple[Ref, ...], target: Ref) -> bool:
    return target in Graph(graph.program, graph.nodes, outputs=refs).live()


def _decay(graph: Graph, ref: Ref) -> Ref | None:
    """The constant or hyperparameter of a product with `w`."""
    named = dict(graph.program.hyperparameters)
    node = graph.node(ref)
    if node.op == "*":
        for factor, rest in (node.args, node.args[::-1]):
            known = isinstance(factor, float) or graph.node(factor).name in named
            if graph.node(rest).name == PARAMETERS and known:
                return factor
    return None


@dataclass
class Constants:
    """The named constants of a program.

    Attributes:
      values: default value of each name, the program's own hyperparameters included.
      names: the name of a constant, by node and position of the argument.
      complements: `interp` nodes whose constant is named by its complement to one.
    """

    values: dict[str, float]
    names: dict[tuple[int, int], str]
    complements: set[int]


def name_constants(graph: Graph, scope: Scope, hyperparameters: dict[str, str]) -> Constants:
    """Give each found constant a name that says what it is for.

    Weights of `interp` are `b1, b2, ...`, a small constant added is `eps`, others are
    `c1, c2, ...`; `hyperparameters` are the program's own, under the names they are printed with.
    """
    defaults = dict(graph.program.hyperparameters)
    constants = Constants({hyperparameters[n]: defaults[n] for n in hyperparameters}, {}, set())
    weights: dict[float, str] = {}
    places = [(i, j) for i in graph.live() for j in range(len(graph.nodes[i].args))]
    places = [(i, j) for i, j in places if isinstance(graph.nodes[i].args[j], float)]

    def named(place: tuple[int, int], hint: str, value: float) -> str:
        name = constants.names[place] = scope.fresh(hint)
        constants.values[name] = value
        return name

    def counted(letter: str) -> str:
        return next(c for i in range(1, 999) if (c := f"{letter}{i}") not in scope.taken)

    for i, j in places:
        node = graph.nodes[i]
        value = float(node.args[j])
        if node.op == "interp" and j == 2:
            first, second = (graph.node(a).name in graph.program.states for a in node.args[:2])
            if first and not second:
                constants.complements.add(i)
                value = complement(value)
            weights.setdefault(value, named((i, j), counted("b"), value))
    for i, j in places:
        node = graph.nodes[i]
        value = float(node.args[j])
        if (i, j) in constants.names or value in _STRUCTURAL or not np.isfinite(value):
            continue
        if node.op == "power" and j == 0 and value in weights:
            constants.names[i, j] = weights[value]
        elif node.op == "+" and 0 < value <= 1e-4 and "eps" not in scope.taken:
            named((i, j), "eps", value)
        else:
            named((i, j), counted("c"), value)
    return constants
