"""The exported reading of a rule: an Optax optimizer as a person would write it."""

import builtins
import keyword
import re
from dataclasses import dataclass

from metaopt.rules.body import Body
from metaopt.rules.graph import INPUT, Graph, graph_of
from metaopt.rules.layout import called, docstring, indented, mathematics, paragraph, signature
from metaopt.rules.lowering import (
    composition,
    learning_rate_scale,
    lowered,
    name_constants,
)
from metaopt.rules.printing import Scope, number
from metaopt.rules.program import PARAMETERS, RATE, STEP, Program

__all__ = ["exported_name", "learning_rate_scale", "to_source"]

_MODULE_NAMES = (
    "Any jax jnp optax NamedTuple updates state params count learning_rate init update extra_args "
    "t lr"
)
_TRANSFORM = "optax.GradientTransformation"


def exported_name(name: str) -> str:
    """The name that the optimizer has in the source written of it.

    It is the name asked for, with an underscore behind it where the module itself needs the name,
    as it does `update` and `callable`.

    Raises:
      ValueError: `name` is not a Python identifier.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} can't be the name of a function")
    taken = name in _MODULE_NAMES.split() or hasattr(builtins, name)
    return f"{name}_" if taken else name


def to_source(
    program: Program,
    *,
    name: str | None = None,
    provenance: str = "",
    learning_rate: float | None = None,
) -> str:
    """Write a rule as a module that needs only jax and optax.

    An update of the form `lr * (direction + weight_decay * w)` becomes a `scale_by_NAME` and a
    chain, as in Optax; any other is computed with the learning rate inside `update`. Found
    constants become keyword-only arguments. A constant factor of the learning rate is left out, and
    the docstring says so; `learning_rate_scale` gives it.

    Args:
      program: the rule, best simplified.
      name: name of the optimizer; the rule's own name if None. See `exported_name`.
      provenance: where the rule comes from, for the docstring.
      learning_rate: the learning rate that the rule was found with. Its product with the constant
        factor becomes the default; without it, users must give one.

    Returns:
      Python source, formatted.

    Raises:
      ValueError: `name` is not a Python identifier.
    """
    name = exported_name(program.name if name is None else name)
    doc = program.doc
    program, scale = learning_rate_scale(program)
    default = None if learning_rate is None else learning_rate * scale
    writer = _Writer(lowered(graph_of(program)), name, default)
    return writer.module(doc, provenance, scale)


@dataclass
class _Writer:
    """Writes one module."""

    graph: Graph
    name: str
    default_rate: float | None

    def __post_init__(self):
        graph = self.graph
        self.scope = Scope()
        self.scope.taken.update(_MODULE_NAMES.split(), (self.name, f"scale_by_{self.name}"))
        parameters = [n for n, _ in graph.program.hyperparameters]
        names = {n: self.scope.fresh(n) for n in (*parameters, "w", "g", *graph.program.states)}
        self.fields = {n: names[n] for n in graph.program.states}
        self.parts = composition(graph)
        direction = graph.outputs[0]
        if self.parts:
            direction = self.parts.direction
        elif isinstance(direction, float):
            direction = -direction
        else:
            node = graph.node(direction)
            direction = node.args[0] if node.op == "negative" else graph.add("negative", direction)
        self.decay = self._decay_name(names)
        graph.outputs = (direction, *graph.outputs[1:])
        own = {n: names[n] for n in parameters if self._used(n) or names[n] == self.decay}
        constants = name_constants(graph, self.scope, {n: names[n] for n in own})
        if self.parts and isinstance(self.parts.decay, float):
            constants.values[self.decay] = self.parts.decay
        self.constants = constants
        self.guard = "1e-8"
        if any(graph.nodes[i].op == "/" for i in graph.live()) and "eps" not in self.scope.taken:
            self.guard = self.scope.fresh("eps")
            constants.values[self.guard] = 1e-8
        self.counts_exactly = self._step_is_exponent()
        self.body = self._body(names)

    def _decay_name(self, names: dict[str, str]) -> str:
        if not self.parts or self.parts.decay is None:
            return ""
        if isinstance(self.parts.decay, float):
            return self.scope.fresh("weight_decay")
        return names[self.graph.node(self.parts.decay).name]

    def _used(self, name: str) -> bool:
        return any(self.graph.nodes[i].name == name for i in self.graph.live())

    def _step_is_exponent(self) -> bool:
        """Whether the step is only ever an exponent, for which an integer does."""
        step = [i for i, n in enumerate(self.graph.nodes) if n.op == INPUT and n.name == STEP]
        for index in self.graph.live():
            node = self.graph.nodes[index]
            at = [j for j, a in enumerate(node.args) if isinstance(a, int) and a in step]
            if at and (node.op != "power" or at != [1] or self.graph.extents[index] != 0):
                return False
        return not any(o in step for o in self.graph.outputs if isinstance(o, int))

    def _body(self, names: dict[str, str]) -> Body:
        graph = self.graph
        results: dict[int, str] = {}
        for state, output in zip(graph.program.states, graph.outputs[1:], strict=True):
            if isinstance(output, int) and output not in results:
                results[output] = self.fields[state]
        direction = graph.outputs[0]
        if isinstance(direction, int) and direction not in results:
            hint = graph.hints.get(direction, "direction") if self.parts else "new_updates"
            vague = len(hint) <= 2 or hint == "update"
            results[direction] = self.scope.fresh("direction" if vague else hint)
        inputs = {**names, RATE: "lr", STEP: "count" if self.counts_exactly else "t"}
        body = Body(graph, self.constants, inputs, self.fields, self.scope, results, self.guard)
        body.print()
        return body

    # ------------------------------------------------------------ the module

    def module(self, doc: str, provenance: str, scale: float) -> str:
        """The whole module."""
        summary, rest = self._summary(doc)
        stateful = bool(self.graph.program.states or self._counts)
        trivial = bool(self.parts and not stateful and self._returned == "updates")
        code = self._state_class() if stateful else []
        if self.parts and not trivial:
            code += [*self._scale_by(), "", ""]
        code += self._optimizer(summary, rest, provenance, scale, trivial)
        lines = [*docstring([summary]), "", *_imports(code), "", "", *code]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    @property
    def _counts(self) -> bool:
        return not self.parts or self._used(STEP)

    @property
    def _returned(self) -> str:
        return self.body.tree(self.graph.outputs[0])

    @property
    def _state_name(self) -> str:
        camel = "".join(part.capitalize() for part in self.name.split("_"))
        return f"ScaleBy{camel}State" if self.parts else f"{camel or 'Rule'}State"

    def _summary(self, doc: str) -> tuple[str, str]:
        first, _, rest = doc.partition("\n")
        if not first or len(first) > 92 or not first[0].isalnum() or '"' in first:
            return f"The optimizer {self.name}, an update rule found by search.", doc
        return (first if first[-1] in ".?!" else first + "."), rest.strip("\n")

    def _state_class(self) -> list[str]:
        of = f"scale_by_{self.name}" if self.parts else self.name
        fields = ["count: jax.typing.ArrayLike"] if self._counts else []
        fields += [f"{name}: optax.Updates" for name in self.fields.values()]
        head = [f"class {self._state_name}(NamedTuple):", f'    """State of `{of}`."""', ""]
        return [*head, *indented(fields), "", ""]

    def _init(self) -> list[str]:
        if not self._counts and not self.fields:
            return ["def init(params):", "    del params", "    return optax.EmptyState()", ""]
        values = ["count=jnp.zeros([], jnp.int32)"] if self._counts else []
        values += [f"{name}=optax.tree.zeros_like(params)" for name in self.fields.values()]
        lines = ["def init(params):"] + (["    del params"] if not self.fields else [])
        if len(values) == 1:
            return [*lines, f"    return {self._state_name}({values[0]})", ""]
        inner = [f"        {value}," for value in values]
        return [*lines, f"    return {self._state_name}(", *inner, "    )", ""]

    def _rate_line(self) -> str:
        if self.parts or not self._used(RATE):
            return ""
        return "lr: Any = learning_rate(state.count) if callable(learning_rate) else learning_rate"

    def _update(self) -> list[str]:
        body: list[str] = []
        if self._used(PARAMETERS):
            message = f"{self.name} needs the parameters: call `update(updates, state, params)`."
            body += [
                "if params is None:",
                *indented(called("raise ValueError", [f'"{message}"'], 3)),
            ]
        else:
            body += ["del params"]
        if not self.parts:
            body += ["del extra_args"]
        if self._rate_line():
            body += [self._rate_line()]
        if self._used(STEP):
            body += ["count = optax.safe_increment(state.count)"]
        if self._used(STEP) and not self.counts_exactly:
            body += ["t = 1.0 * count"]
        lines = [*body, *self.body.lines]
        while lines and not lines[-1]:
            lines.pop()
        outputs = zip(self.fields.values(), self.graph.outputs[1:], strict=True)
        count = "count" if self._used(STEP) else "optax.safe_increment(state.count)"
        values = [f"count={count}"] if self._counts else []
        values += [f"{state}={self.body.tree(output)}" for state, output in outputs]
        new = f"{self._state_name}({', '.join(values)})" if values else "state"
        lines += self._return(new, values)
        arguments = "updates, state, params=None" + ("" if self.parts else ", **extra_args")
        return [f"def update({arguments}):", *indented(_tidy(lines)), ""]

    def _return(self, new: str, values: list[str]) -> list[str]:
        line = f"return {self._returned}, {new}"
        if len(line) + 8 <= 100:
            return [line]
        return [
            f"new_state = {self._state_name}(",
            *(f"    {value}," for value in values),
            ")",
            *(
                [f"new_updates = {self._returned}", "return new_updates, new_state"]
                if len(self._returned) > 60
                else [f"return {self._returned}, new_state"]
            ),
        ]

    def _scale_by(self) -> list[str]:
        used = {n: v for n, v in self.constants.values.items() if self._in_body(n)}
        head = signature(f"scale_by_{self.name}", _keywords(used), _TRANSFORM)
        doc = [f"Rescale updates by the rule of `{self.name}`, without the learning rate."]
        if used:
            doc += ["", "Args:", *(f"  {n}: {self._meaning(n)}" for n in used)]
        doc += ["", "Returns:", f"  An `{_TRANSFORM}`."]
        end = [f"return {_TRANSFORM}(init, update)"]
        return [*head, *indented([*docstring(doc), "", *self._init(), *self._update(), *end])]

    def _in_body(self, name: str) -> bool:
        return name != self.decay or (
            isinstance(self.parts.decay, int) and self._used(self.graph.node(self.parts.decay).name)
            if self.parts and self.parts.decay is not None
            else False
        )

    def _optimizer(
        self, summary: str, rest: str, provenance: str, scale: float, trivial: bool
    ) -> list[str]:
        rate = "learning_rate: optax.ScalarOrSchedule"
        if self.default_rate is not None:
            rate += f" = {number(self.default_rate)}"
        head = signature(
            self.name,
            [rate, *_keywords(self.constants.values)],
            "optax.GradientTransformationExtraArgs",
        )
        doc = [summary, ""]
        doc += [*paragraph(rest, 1), ""] if rest else []
        doc += ["At every step, with gradient g and parameters w:", "", *self._equations(), ""]
        doc += self._arguments(scale)
        doc += ["Returns:", "  An `optax.GradientTransformationExtraArgs`.", ""]
        if provenance:
            doc += ["Provenance:", *(f"  {x}" for x in paragraph(provenance, 1)), ""]
        doc += self._example()
        code = indented(docstring(doc))
        if self.parts:
            return [*head, *code, *indented(self._chain(trivial))]
        make = "return optax.GradientTransformationExtraArgs(init, update)"
        return [*head, *code, "", *indented([*self._init(), *self._update(), make])]

    def _chain(self, trivial: bool) -> list[str]:
        used = [n for n in self.constants.values if self._in_body(n)]
        parts = []
        if not trivial:
            parts.append(f"scale_by_{self.name}({', '.join(f'{n}={n}' for n in used)})")
        if self.decay:
            parts.append(f"optax.add_decayed_weights({self.decay})")
        parts.append("optax.scale_by_learning_rate(learning_rate)")
        if len(parts) == 1:
            return [f"return optax.chain({parts[0]})"]
        return ["return optax.chain(", *(f"    {part}," for part in parts), ")"]

    def _equations(self) -> list[str]:
        lines = [f"{name} <- {text}" for name, text in self.body.equations]
        update = mathematics(self._returned)
        for state, output in zip(self.fields.values(), self.graph.outputs[1:], strict=True):
            value = mathematics(self.body.tree(output))
            lines += [f"{state} <- {value}"] if value != state else []
        if not self.parts:
            return [f"  {line}" for line in [*lines, f"w <- w + {update}"]]
        decayed = f"({update} + {self.decay} * w)" if self.decay else update
        if not self.decay and not update.isidentifier():
            decayed = f"({update})"
        return [f"  {line}" for line in [*lines, f"w <- w - learning_rate * {decayed}"]]

    def _arguments(self, scale: float) -> list[str]:
        text = "  learning_rate: a number or a schedule."
        if scale != 1.0:
            text += f" The rule was found with learning_rate = {number(scale)} times its schedule."
        lines = ["Args:", *paragraph(text, 1, "    ")]
        for name in self.constants.values:
            lines += paragraph(f"  {name}: {self._meaning(name)}", 1, "    ")
        return [*lines, ""]

    def _meaning(self, name: str) -> str:
        if name == self.decay:
            return "strength of the weight decay, which the learning rate multiplies."
        if name == self.guard or name == "eps":
            return "added to divisors, so that they are not zero."
        if name[0] == "b" and name[1:].isdigit():
            return "weight of the old value in a moving average."
        return "a constant of the rule."

    def _example(self) -> list[str]:
        rate = "1e-3" if self.default_rate is None else ""
        return [
            "Example:",
            "  >>> import jax",
            "  >>> import jax.numpy as jnp",
            "  >>> import optax",
            '  >>> params = {"w": jnp.ones(3), "b": jnp.zeros(())}',
            '  >>> gradient = jax.grad(lambda p: jnp.sum((p["w"] - p["b"]) ** 2))',
            f"  >>> optimizer = {self.name}({rate})",
            "  >>> state = optimizer.init(params)",
            "  >>> updates, state = optimizer.update(gradient(params), state, params)",
            "  >>> params = optax.apply_updates(params, updates)",
        ]


def _keywords(values: dict[str, float]) -> list[str]:
    return ["*", *(f"{n}: float = {number(v)}" for n, v in values.items())] if values else []


def _imports(code: list[str]) -> list[str]:
    """The imports that the code needs; the docstrings' examples have their own."""
    text = "\n".join(line for line in code if ">>>" not in line)
    names = [n for n in ("Any", "NamedTuple") if re.search(rf"\b{n}\b", text)]
    typing = [f"from typing import {', '.join(names)}", ""] if names else []
    jax = ["import jax"] if re.search(r"\bjax\.", text) else []
    jnp = ["import jax.numpy as jnp"] if re.search(r"\bjnp\.", text) else []
    return [*typing, *jax, *jnp, "import optax"]


def _tidy(lines: list[str]) -> list[str]:
    """Lines without doubled blank lines, and with none at the start of a block."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept
