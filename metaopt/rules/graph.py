"""A program as a graph of values: what simplification, canonical form and export work on.

Equal operations on equal arguments are one node, so common subexpressions are found by the way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from metaopt.rules.check import input_extents, without_dead_code
from metaopt.rules.ops import OPS, Extent, Reduces
from metaopt.rules.program import Argument, Assign, Program, constant

Ref = int | float
"""An argument of a node: the index of another node, or (a float) a constant."""

INPUT = "input"
"""The `op` of a node that stands for an input of the program; its argument is the name."""


@dataclass(frozen=True)
class Node:
    """One value: an operation and its arguments, which come before it in the graph."""

    op: str
    args: tuple[Ref, ...] = ()
    name: str = ""


@dataclass
class Graph:
    """The values of a program.

    Attributes:
      program: where states, hyperparameters, name and docstring come from; its body is not used.
      nodes: in an order in which arguments come first.
      extents: how far each node's value reaches.
      hints: names that the program gives to nodes.
      outputs: the update and the new states.
    """

    program: Program
    nodes: list[Node] = field(default_factory=list)
    extents: list[Extent] = field(default_factory=list)
    hints: dict[int, str] = field(default_factory=dict)
    outputs: tuple[Ref, ...] = ()
    _index: dict[tuple, int] = field(default_factory=dict)

    def input(self, name: str) -> int:
        """The node of an input."""
        tensor = name in ("w", "g", *self.program.states)
        return self._intern(Node(INPUT, (), name), Extent.TENSOR if tensor else Extent.SCALAR)

    def add(self, op: str, *args: Ref) -> int:
        """The node of an operation."""
        return self._intern(Node(op, args), OPS[op].result(tuple(self.extent(a) for a in args)))

    def extended(self, op: str, extent: Extent, *args: Ref) -> int:
        """The node of an operation that is not in the table."""
        return self._intern(Node(op, args), extent)

    def _intern(self, node: Node, extent: Extent) -> int:
        # repr tells 0.0 from -0.0, and 1.0 from the node 1.
        key = (node.op, node.name, *(repr(a) for a in node.args))
        if key not in self._index:
            self._index[key] = len(self.nodes)
            self.nodes.append(node)
            self.extents.append(extent)
        return self._index[key]

    def extent(self, ref: Ref) -> Extent:
        """How far a value reaches."""
        return self.extents[ref] if isinstance(ref, int) else Extent.SCALAR

    def node(self, ref: Ref) -> Node:
        """The node of a reference; for a constant a node without an operation."""
        return self.nodes[ref] if isinstance(ref, int) else Node("")

    def value(self, ref: Ref) -> float | None:
        """The value of a constant, or of a node such as `pi()`; None for anything else."""
        if isinstance(ref, float):
            return ref
        node = self.nodes[ref]
        return float(OPS[node.op].numpy()) if node.op in OPS and not node.args else None

    def live(self) -> list[int]:
        """The nodes that the outputs need, in order."""
        wanted = {ref for ref in self.outputs if isinstance(ref, int)}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in wanted:
                wanted.update(a for a in self.nodes[index].args if isinstance(a, int))
        return sorted(wanted)

    def without_twin_states(self) -> "Graph":
        """A new graph in which states that always hold the same are one state."""
        first: dict[Ref, str] = {}
        states = self.program.states
        twins = {
            state: first.setdefault(output, state)
            for state, output in zip(states, self.outputs[1:], strict=True)
        }
        new = Graph(replace(self.program, states=tuple(dict.fromkeys(twins.values()))))
        whole = self.mapped(lambda new, i, args: new.add(self.nodes[i].op, *args), new, twins)
        kept = [o for s, o in zip(states, whole.outputs[1:], strict=True) if twins[s] == s]
        whole.outputs = (whole.outputs[0], *kept)
        return whole

    def mapped(
        self,
        build: Callable[["Graph", int, tuple[Ref, ...]], Ref],
        into: "Graph | None" = None,
        renamed: Mapping[str, str] | None = None,
    ) -> "Graph":
        """A new graph of the live nodes.

        Each node but the inputs is made by `build(new graph, old index, new arguments)`; inputs
        may be renamed.
        """
        new = into or Graph(self.program)
        renamed = renamed or {}
        table: dict[int, Ref] = {}
        for index in self.live():
            node = self.nodes[index]
            if node.op == INPUT:
                table[index] = new.input(renamed.get(node.name, node.name))
                continue
            args = tuple(table[a] if isinstance(a, int) else a for a in node.args)
            ref = table[index] = build(new, index, args)
            if isinstance(ref, int) and index in self.hints:
                new.hints.setdefault(ref, self.hints[index])
        new.outputs = tuple(table[o] if isinstance(o, int) else o for o in self.outputs)
        return new


def graph_of(program: Program) -> Graph:
    """The graph of a program's live statements."""
    program = without_dead_code(program)
    graph = Graph(program)
    environment: dict[str, int] = {name: graph.input(name) for name in input_extents(program)}
    for statement in program.body:
        args = (environment[a] if isinstance(a, str) else float(a) for a in statement.args)
        index = graph.add(statement.op, *args)
        environment[statement.target] = index
        graph.hints.setdefault(index, statement.target)
    graph.outputs = tuple(environment[name] for name in program.outputs)
    return graph


def program_of(graph: Graph) -> Program:
    """The program of a graph: one statement for each live node, names kept where they are free."""
    live = graph.live()
    outputs = list(graph.outputs)
    last_use = {a: i for i in live for a in graph.nodes[i].args if isinstance(a, int)}
    last_use |= {o: len(graph.nodes) for o in outputs if isinstance(o, int)}
    names: dict[int, str] = {i: graph.nodes[i].name for i in live if graph.nodes[i].op == INPUT}
    holder = {name: i for i, name in names.items()}
    # An input that the graph does not use is still a parameter of the function, so a taken name.
    for name in input_extents(graph.program):
        holder.setdefault(name, -1)
    body = []

    def free(name: str, at: int) -> bool:
        held = holder.get(name)
        return held is None or last_use.get(held, -1) <= at

    def assign(hint: str, at: int, op: str, args: Sequence[Argument]) -> str:
        options = (hint, *(f"{hint}_{i}" for i in range(2, len(graph.nodes) + 4)))
        name = next(n for n in options if free(n, at))
        holder[name] = at
        body.append(Assign(name, op, tuple(args)))
        return name

    for index in live:
        node = graph.nodes[index]
        if node.op == INPUT:
            continue
        args = [names[a] if isinstance(a, int) else constant(a) for a in node.args]
        names[index] = assign(graph.hints.get(index, "x"), index, node.op, args)
    results = []
    for output in outputs:
        if isinstance(output, int):
            results.append(names[output])
        else:
            # The language has no copy of a constant; times one is the plainest.
            at = len(graph.nodes) - 1
            results.append(assign("c", at, "*", (constant(output), 1.0)))
            last_use[holder[results[-1]]] = len(graph.nodes)
    used = {a for s in body for a in s.variables} | set(results)
    parameters = tuple(h for h in graph.program.hyperparameters if h[0] in used)
    new = replace(
        graph.program, body=tuple(body), outputs=tuple(results), hyperparameters=parameters
    )
    return without_dead_code(new)


_NONNEGATIVE = frozenset(
    {
        "abs",
        "square",
        "sqrt",
        "exp",
        "exp2",
        "exp10",
        "cosh",
        "norm",
        "global_norm",
        "arccosh",
        "arccos",
        "pi",
        "e",
        "eps",
    }
)
_KEEPS_SIGN = frozenset(
    {
        "+",
        "*",
        "/",
        "truediv",
        "max",
        "min",
        "cube",
        "cbrt",
        "sign",
        "reciprocal",
        "arcsin",
        "arctan",
        "sinh",
        "tanh",
        "arcsinh",
        "arctanh",
        "expm1",
        "clip_by_global_norm",
    }
)


def nonnegative(graph: Graph) -> set[int]:
    """The nodes whose values are provably zero, positive or NaN.

    A state starts at zero, so it is nonnegative if its new value is whenever it is. Hyperparameters
    are taken to keep the sign, and as weights the range [0, 1], of their default values.
    """
    assumed = set(graph.program.states)
    defaults = dict(graph.program.hyperparameters)
    while True:
        found = _nonnegative_given(graph, assumed, defaults)
        held = {
            state
            for state, output in zip(graph.program.states, graph.outputs[1:], strict=True)
            if state in assumed and (output in found if isinstance(output, int) else output >= 0)
        }
        if held == assumed:
            return found
        assumed = held


def _nonnegative_given(graph: Graph, states: set[str], defaults: Mapping[str, float]) -> set[int]:
    found: set[int] = set()

    def holds(ref: Ref) -> bool:
        return ref in found if isinstance(ref, int) else not np.signbit(ref)

    def weight(ref: Ref) -> bool:
        value = graph.value(ref)
        if value is None and graph.node(ref).op == INPUT:
            value = defaults.get(graph.node(ref).name)
        return value is not None and 0 <= value <= 1

    for index, node in enumerate(graph.nodes):
        args = node.args
        if node.op == INPUT:
            good = node.name in states or node.name == "t" or defaults.get(node.name, -1) >= 0
        elif node.op in _NONNEGATIVE or (
            node.op in ("*", "dot") and repr(args[0]) == repr(args[1])
        ):
            good = True
        elif node.op == "max":
            good = any(holds(a) for a in args)
        elif node.op == "interp":
            good = holds(args[0]) and holds(args[1]) and weight(args[2])
        elif node.op == "power":
            good = holds(args[0])
        elif node.op == "-" and graph.node(args[1]).op == "power":
            # The bias correction `1 - decay**t`.
            good = args[0] == 1.0 and weight(graph.node(args[1]).args[0])
        else:
            good = node.op in _KEEPS_SIGN and all(holds(a) for a in args)
        if good:
            found.add(index)
    return found


def elementwise(op: str) -> bool:
    """Whether an operation computes each element on its own."""
    return OPS[op].reduces is Reduces.NOTHING
