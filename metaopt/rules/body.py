"""The body of an exported `update`: which values get a tree, a scalar or a line of their own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from metaopt.rules.graph import INPUT, Graph, Ref, nonnegative
from metaopt.rules.layout import assigned, called, indented, mathematics
from metaopt.rules.lowering import Constants
from metaopt.rules.ops import OPS, Extent
from metaopt.rules.printing import LIMIT, Printer, Scope
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
        self.stepped: set[int] = set()
        for index, node in enumerate(self.graph.nodes):
            if node.name == STEP or not self.stepped.isdisjoint(_nodes(node.args)):
                self.stepped.add(index)
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
            if node.op in _SUMS:
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
        wide = [i for i in live if graph.extents[i] is not Extent.SCALAR]
        in_leaves = {n for i in wide for n in _nodes(graph.nodes[i].args)}
        sums = [i for i in live if graph.nodes[i].op in _SUMS]
        as_trees = {*_nodes(graph.outputs), *(n for i in sums for n in _nodes(graph.nodes[i].args))}
        found = set()
        for index in live:
            node = graph.nodes[index]
            if graph.extents[index] is not Extent.SCALAR or node.op == INPUT:
                if node.name == STEP:
                    dynamic.add(index)
                continue
            if node.op in _SUMS or any(a in dynamic for a in _nodes(node.args)):
                dynamic.add(index)
            if not node.args:
                continue
            inside = index in dynamic and index in in_leaves
            if uses[index] > 1 or inside or index in as_trees:
                found.add(index)
        return found

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
        hint = self.graph.hints.get(index, "c")
        if self.graph.nodes[index].op in _SUMS:
            self._sum(index, hint)
            return
        printer = self._printer()
        printer.on_long = self._part
        for part in Graph(self.graph.program, self.graph.nodes, outputs=(index,)).live():
            if part not in self.scalars and self.graph.nodes[part].op in _SUMS:
                function, trees = self._sum_of_trees(part)
                text = f"{function}({', '.join(trees)})"
                short = self.graph.nodes[part].op != "dot" and len(text) <= LIMIT // 2
                printer.leaf[part] = text if short else self._sum(part, "c")
        text = printer.text(index)[0]
        name = self.scalars[index] = self.scope.fresh(hint)
        self._assign(name, text)

    def _part(self, index: int, text: str) -> str:
        name = self.scalars[index] = self.scope.fresh(self.graph.hints.get(index, "c"))
        self._assign(name, text)
        return name

    def _sum(self, index: int, hint: str) -> str:
        """A line for a sum over the model."""
        function, trees = self._sum_of_trees(index)
        name = self.scalars[index] = self.scope.fresh(hint)
        # Type checkers read the result of vdot as anything that could become an array.
        target = f"{name}: Any" if self.graph.nodes[index].op == "dot" else name
        self.lines += called(f"{target} = {function}", trees, LEVEL)
        self.equations.append((name, mathematics(f"{function}({', '.join(trees)})")))
        return name

    def _sum_of_trees(self, index: int) -> tuple[str, list[str]]:
        node = self.graph.nodes[index]
        return OPS[node.op].source.partition("(")[0], [self.tree(a) for a in node.args]

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

        like = leaf[arguments[0]] if arguments else self.like
        printer = self._printer(leaf | self._casts(like))
        printer.on_long = named
        counts = Counter(_uses(self.graph, sorted({*inside, index})))
        for part in sorted(inside):
            shared = counts[part] > 1 and self.graph.nodes[part].args
            if shared and part not in printer.leaf:
                printer.leaf[part] = named(part, printer.text(part)[0])
        text = printer.text(index)[0]
        if self.graph.extents[index] is not Extent.TENSOR:
            text = named(index, text) if len(text) > LIMIT // 2 else text
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

    def _casts(self, like: str) -> dict[int, str]:
        """Scalars that follow from the step as a leaf function reads them, in the leaf's type.

        They are arrays of their own, which would promote a bfloat16 leaf. Optax casts them as well.
        """
        names = {i: name for i, name in self.scalars.items() if i in self.stepped}
        return {i: f"jnp.asarray({name}, {like}.dtype)" for i, name in names.items()}

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
        wide |= {i for i, n in enumerate(self.graph.nodes) if n.op in _SUMS}
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


_SUMS = frozenset({"global_norm", "dot"})
"""Sums over the model, which `optax.tree` has functions for."""


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
