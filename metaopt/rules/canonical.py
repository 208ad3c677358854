"""One form for programs that differ only in how they are written down."""

import hashlib
from dataclasses import replace

from metaopt.rules.graph import INPUT, Graph, Ref, graph_of, program_of
from metaopt.rules.ops import OPS
from metaopt.rules.program import Program, constant


def canonical(program: Program) -> Program:
    """The canonical form: equal for programs that compute the same by the same operations.

    Dead statements go, equal subexpressions are merged, constants are the float32 numbers they
    stand for, the arguments of commutative operations are put in order, statements follow the order
    in which the outputs need them, and every variable is renamed: states `s1, s2, ...`,
    hyperparameters `h1, ...`, variables `x1, ...`. Name and docstring are dropped.
    """
    graph = graph_of(program)
    states = {name: f"s{i}" for i, name in enumerate(graph.program.states, 1)}
    parameters = {name: f"h{i}" for i, (name, _) in enumerate(graph.program.hyperparameters, 1)}
    inputs = states | parameters
    bare = Program(
        "rule",
        tuple(states.values()),
        (),
        graph.program.outputs,
        tuple((parameters[n], constant(v)) for n, v in graph.program.hyperparameters),
    )
    ordered = _in_order_of_need(graph, Graph(bare), inputs)
    ordered.hints = {i: f"x{i}" for i, n in enumerate(ordered.nodes)}
    return _renumbered(program_of(ordered))


def _in_order_of_need(graph: Graph, new: Graph, inputs: dict[str, str]) -> Graph:
    keys = _structural_keys(graph, inputs)
    table: dict[int, Ref] = {}

    def visit(ref: Ref) -> Ref:
        if isinstance(ref, float):
            return constant(ref)
        if ref in table:
            return table[ref]
        node = graph.nodes[ref]
        if node.op == INPUT:
            table[ref] = new.input(inputs.get(node.name, node.name))
        else:
            args = list(node.args)
            if OPS[node.op].commutative:
                args.sort(key=lambda a: keys[a] if isinstance(a, int) else (0, repr(constant(a))))
            table[ref] = new.add(node.op, *(visit(a) for a in args))
        return table[ref]

    new.outputs = tuple(visit(output) for output in graph.outputs)
    return new


def _structural_keys(graph: Graph, inputs: dict[str, str]) -> list[tuple]:
    """For each node a key that depends only on what it computes; long ones are hashed."""
    keys: list[tuple] = []
    for node in graph.nodes:
        args = [keys[a] if isinstance(a, int) else (0, repr(constant(a))) for a in node.args]
        if node.op in OPS and OPS[node.op].commutative:
            args.sort()
        text = repr((node.op, inputs.get(node.name, node.name), args))
        keys.append((1, text if len(text) < 200 else _digest(text)))
    return keys


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _renumbered(program: Program) -> Program:
    """Variables named `x1, x2, ...` in order of assignment, each assigned once."""
    names = {name: name for name in program.inputs}
    body = []
    for i, statement in enumerate(program.body, 1):
        args = tuple(names[a] if isinstance(a, str) else a for a in statement.args)
        names[statement.target] = f"x{i}"
        body.append(replace(statement, target=f"x{i}", args=args))
    outputs = tuple(names[name] for name in program.outputs)
    return replace(program, body=tuple(body), outputs=outputs)
