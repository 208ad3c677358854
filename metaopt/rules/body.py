"""The body of an exported `update`: which values get a tree, a scalar or a line of their own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from metaopt.rules.graph import INPUT, Graph, Ref, nonnegative
from metaopt.rules.layout import assigned, called, indented, mathematics
from metaopt.rules.lowering import Constants
from metaopt.rules.ops import OPS, Extent, Reduces
from metaopt.rules.printing import Printer, Scope
from metaopt.rules.program import GRADIENT, PARAMETERS, RATE, STEP

LEVEL = 2
"""`update` stands inside a function."""


@dataclass
class Body:
    """Prints `update`, in order of need.

    Attributes:
      graph: the lowered graph; its first output is what `update` returns.
      constants: names of constants.
      inputs: how leaf functions call `w`, `g`, the states and hyperparameters.
      fields: the field of each state in the state tuple.
      scope: names in use.
      results: a name for the tree of each output.
      lines: what was printed, without indentation.
      equations: the same as mathematics, name and expression.
    """

    graph: Graph
    constants: Constants
    inputs: dict[str, str]
    fields: dict[str, str]
    scope: Scope
    results: dict[int, str]
    guard: str
    lines: list[str] = field(default_factory=list)
    equations: list[tuple[str, str]] = field(default_factory=list)
    trees: dict[int, str] = field(default_factory=dict)

    def __post_init__(self):
        self.sure = nonnegative(self.graph)
        self.scalars: dict[int, str] = {}
        self.leaf_names: dict[int, str] = {}
        self.like = self.inputs[GRADIENT]
        for index, node in enumerate(self.graph.nodes):
            if node.op == INPUT and node.name in self.inputs:
                self.leaf_names[index] = self.inputs[node.name]
                if self.graph.extents[index] is Extent.SCALAR:
                    self.scalars[index] = self.inputs[node.name]
                else:
                    roots = {PARAMETERS: "params", GRADIENT: "updates"}
                    self.trees[index] = roots.get(node.name) or f"state.{self.fields[node.name]}"

    def print(self) -> None:
        """Print every tree and scalar that the outputs need."""
        live = self.graph.live()
        materialized = self._materialized(live)
        hoisted = self._hoisted(live)
        self.uses = _uses(self.graph, live)
        for index in live:
            if index in materialized:
                self._tree(index)
            elif index in hoisted:
                self._scalar(index)

    def tree(self, ref: Ref) -> str:
        """The text of a value as a tree."""
        if isinstance(ref, int) and ref in self.trees:
            return self.trees[ref]
        return f"optax.tree.full_like(updates, {self._printer().text(ref)[0]})"

    def _materialized(self, live: list[int]) -> set[int]:
        """Trees: outputs, arguments of sums over the model, and what several of these share."""
        graph = self.graph
        roots = {o for o in graph.outputs if isinstance(o, int)}
        for index in live:
            node = graph.nodes[index]
            if node.op in OPS and OPS[node.op].reduces is Reduces.MODEL:
                roots.update(a for a in node.args if isinstance(a, int))
        wide = [i for i in live if graph.extents[i] is not Extent.SCALAR]
        wide = [i for i in wide if graph.nodes[i].op != INPUT]
        owners: dict[int, set[int]] = {i: set() for i in live}
        found = set()
        for index in reversed(wide):
            if index in roots or len(owners[index]) > 1:
                found.add(index)
            for argument in graph.nodes[index].args:
                if isinstance(argument, int):
                    owners[argument] |= {index} if index in found else owners[index]
        return found

    def _hoisted(self, live: list[int]) -> set[int]:
        """Scalars computed once, before the trees: sums, and what is made of them and the step."""
        graph, uses = self.graph, _uses(self.graph, live)
        dynamic: set[int] = set()
        # Users that work leaf by leaf, or that want a whole tree.
        users = [n for i in live if self._wants_trees(i) for n in _nodes(graph.nodes[i].args)]
        wide_use = {*users, *_nodes(graph.outputs)}
        found = set()
        for index in live:
            node = graph.nodes[index]
            if graph.extents[index] is not Extent.SCALAR or node.op == INPUT:
                if node.name == STEP:
                    dynamic.add(index)
                continue
            reduces = OPS[node.op].reduces if node.op in OPS else Reduces.NOTHING
            if reduces is Reduces.MODEL or any(a in dynamic for a in _nodes(node.args)):
                dynamic.add(index)
            if not node.args:
                continue
            if uses[index] > 1 or (index in dynamic and index in wide_use):
                found.add(index)
        return found

    def _wants_trees(self, index: int) -> bool:
        op = self.graph.nodes[index].op
        sums = op in OPS and OPS[op].reduces is Reduces.MODEL
        return sums or self.graph.extents[index] is not Extent.SCALAR

    def _printer(self, leaf: dict[int, str] | None = None) -> Printer:
        return Printer(
            self.graph,
            self.sure,
            self.constants.names,
            self.constants.complements,
            self.scalars | (leaf or {}),
            self.guard,
            self.like,
        )

    def _scalar(self, index: int) -> None:
        node = self.graph.nodes[index]
        hint = self.graph.hints.get(index, "c")
        printer = _TopPrinter(self)

        def on_long(part: int, text: str) -> str:
            if self.graph.extent(part) is not Extent.SCALAR:
                return text
            name = self.scope.fresh(self.graph.hints.get(part, "c"))
            self._assign(name, text)
            self.scalars[part] = name
            return name

        text = printer.text(index, node, on_long)
        name = self.scope.fresh(hint)
        self._assign(name, text)
        self.scalars[index] = name

    def _assign(self, name: str, text: str) -> None:
        self.lines += assigned(name, text, LEVEL)
        self.equations.append((name, mathematics(text)))

    def _tree(self, index: int) -> None:
        """One `jax.tree.map`: a lambda, or a function where an expression needs several lines."""
        inside, arguments = self._reach(index)
        leaf = {i: self._leaf_name(i, arguments) for i in arguments}
        statements: list[tuple[str, str]] = []

        def named(part: int, text: str) -> str:
            name = self.scope.fresh(self.graph.hints.get(part, "x"))
            statements.append((name, text))
            return name

        printer = self._printer(leaf)
        printer.on_long = named
        counts = Counter(_uses(self.graph, sorted({*inside, index})))
        for part in sorted(inside):
            shared = counts[part] > 1 and self.graph.nodes[part].args
            if shared and part not in printer.leaf:
                printer.leaf[part] = named(part, printer.text(part)[0])
        text = printer.text(index)[0]
        if self.graph.extents[index] is not Extent.TENSOR:
            text = f"jnp.full_like({self.like}, {text})"
        parameters = [leaf[i] for i in arguments]
        if self.like not in parameters and f"full_like({self.like}," in "".join(
            [text, *(t for _, t in statements)]
        ):
            gradient = self.graph.input(GRADIENT)
            arguments, parameters = [gradient, *arguments], [self.like, *parameters]
            self.trees.setdefault(gradient, "updates")
        name = self.results.get(index) or self.scope.fresh(self.graph.hints.get(index, "x"))
        trees = [self.trees[i] for i in arguments]
        self._map(name, parameters, statements, text, trees, self._cast(index))
        self.trees[index] = name
        self.equations += [(n, mathematics(t)) for n, t in statements]
        self.equations.append((name, mathematics(text)))

    def _reach(self, root: int) -> tuple[set[int], list[int]]:
        """The nodes inside the expression of a tree, and the trees it is made from, in order."""
        inside: set[int] = set()
        arguments: dict[int, None] = {}

        def visit(index: int) -> None:
            for argument in _nodes(self.graph.nodes[index].args):
                if argument in self.trees:
                    arguments[argument] = None
                elif argument not in self.scalars and argument not in inside:
                    inside.add(argument)
                    visit(argument)

        visit(root)
        order = {GRADIENT: 0, PARAMETERS: 1}
        key = {i: (order.get(self.graph.nodes[i].name, 2), i) for i in arguments}
        return inside, sorted(arguments, key=key.__getitem__)

    def _leaf_name(self, index: int, together: Sequence[int]) -> str:
        if index not in self.leaf_names:
            name = self.trees[index]
            old = {self.inputs[s] for s in self.fields} | {self.inputs["w"], self.inputs["g"]}
            self.leaf_names[index] = self.scope.fresh(f"new_{name}") if name in old else name
        name, tree = self.leaf_names[index], self.trees[index]
        others = {self.leaf_names.get(i) for i in together if i != index}
        return tree if name.startswith("new_") and tree not in others else name

    def _cast(self, index: int) -> str:
        """For a state that could otherwise change its type, the tree whose type it keeps."""
        states = [s for s, o in zip(self.fields, self.graph.outputs[1:], strict=True) if o == index]
        wide = {i for i, n in enumerate(self.graph.nodes) if n.name == RATE}
        wide |= {i for i, n in enumerate(self.graph.nodes) if n.op in ("global_norm", "dot")}
        needs = Graph(self.graph.program, self.graph.nodes, outputs=(index,)).live()
        return f"state.{self.fields[states[0]]}" if states and wide.intersection(needs) else ""

    def _map(
        self,
        name: str,
        parameters: list[str],
        statements: list[tuple[str, str]],
        text: str,
        trees: list[str],
        cast: str,
    ) -> None:
        function = f"lambda {', '.join(parameters)}: {text}"
        if statements or len(function) > 84:
            label = self.scope.fresh(f"leaf_{name}")
            inner = [line for n, t in statements for line in assigned(n, t, LEVEL + 1)]
            inner += assigned("", text, LEVEL + 1)
            self.lines += ["", f"def {label}({', '.join(parameters)}):", *indented(inner), ""]
            function = label
        self.lines += called(f"{name} = jax.tree.map", [function, *trees], LEVEL)
        if cast:
            self.lines.append(f"{name} = optax.tree.cast_like({name}, {cast})")


class _TopPrinter:
    """Prints scalars at the level of `update`, where sums over the model are written out."""

    def __init__(self, body: Body):
        self.body = body

    def text(self, index: int, node, on_long) -> str:
        body = self.body
        printer = body._printer()
        printer.on_long = on_long
        for part in Graph(body.graph.program, body.graph.nodes, outputs=(index,)).live():
            inner = body.graph.nodes[part]
            if part in body.scalars or inner.op not in ("global_norm", "dot"):
                continue
            text = OPS[inner.op].source.format(*(body.tree(a) for a in inner.args))
            if part == index:
                return text
            printer.leaf[part] = text
        return printer.text(index)[0]


def _nodes(args: tuple[Ref, ...]) -> list[int]:
    return [a for a in args if isinstance(a, int)]


def _uses(graph: Graph, among: list[int]) -> Counter[int]:
    """How often each node is written out; the weight of an `interp` is written twice."""
    counts: Counter[int] = Counter(o for o in graph.outputs if isinstance(o, int) and o in among)
    for index in among:
        node = graph.nodes[index]
        counts.update(_nodes(node.args))
        if node.op == "interp":
            counts.update(_nodes(node.args[2:]))
    return counts
