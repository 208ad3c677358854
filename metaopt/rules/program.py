"""`Program`: an update rule as people read it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from metaopt.rules.ops import OPS

PARAMETERS, GRADIENT, RATE, STEP = "w", "g", "lr", "t"
"""The inputs every rule may read: parameters, gradient, learning rate, and the 1-based step."""

RESERVED = frozenset({PARAMETERS, GRADIENT, RATE, STEP})

Argument = str | float
"""An argument of an operation: the name of a variable, or a constant."""


def constant(value: float) -> float:
    """The constant that a rule may hold which is nearest to `value`.

    Constants are the shortest decimals of float32 numbers, so that a program survives the way
    through a genome unchanged.

    Raises:
      ValueError: `value` is not finite or beyond the range of float32.
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        raise ValueError(f"{value!r} is not a finite float32 number")
    return float(str(single))


def format_constant(value: float) -> str:
    """The text of a constant: as short as possible, an integer without its `.0`."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


@dataclass(frozen=True)
class Assign:
    """One statement, `target = op(*args)`."""

    target: str
    op: str
    args: tuple[Argument, ...]

    def __str__(self) -> str:
        """The statement as a rule file writes it."""
        words = [a if isinstance(a, str) else format_constant(a) for a in self.args]
        if OPS[self.op].infix:
            return f"{self.target} = {words[0]} {self.op} {words[1]}"
        return f"{self.target} = {self.op}({', '.join(words)})"

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the statement reads."""
        return tuple(a for a in self.args if isinstance(a, str))


@dataclass(frozen=True)
class Program:
    """An update rule: `w <- w - update`, where `body` computes the update and the new states.

    Attributes:
      name: a Python identifier.
      states: names of the states; each is shaped like the parameters and starts at zero.
      body: the statements, in order.
      outputs: the variable that holds the update, then for each state the variable that holds its
        new value.
      hyperparameters: names and default values.
      doc: the docstring, "" for none.
    """

    name: str
    states: tuple[str, ...]
    body: tuple[Assign, ...]
    outputs: tuple[str, ...]
    hyperparameters: tuple[tuple[str, float], ...] = ()
    doc: str = ""

    def reads(self, name: str) -> bool:
        """Whether the rule reads the input `name`, before it assigns that name anew."""
        for statement in self.body:
            if name in statement.variables:
                return True
            if statement.target == name:
                return False
        return name in self.outputs

    @property
    def uses_step(self) -> bool:
        """Whether the rule reads `t`, the number of the step, counted from 1."""
        return self.reads(STEP)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What is defined before the first statement, in the order of the signature."""
        step = (STEP,) if self.uses_step else ()
        names = tuple(name for name, _ in self.hyperparameters)
        return (PARAMETERS, GRADIENT, *self.states, RATE, *step, *names)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every name in the program, in the order of first appearance."""
        return tuple(dict.fromkeys((*self.inputs, *(s.target for s in self.body))))

    def constants(self) -> Iterator[tuple[int, int, float]]:
        """Each constant as (statement, argument, value)."""
        for i, statement in enumerate(self.body):
            for j, argument in enumerate(statement.args):
                if not isinstance(argument, str):
                    yield i, j, argument

    def with_argument(self, statement: int, argument: int, value: Argument) -> "Program":
        """A copy with one argument replaced."""
        old = self.body[statement]
        args = (*old.args[:argument], value, *old.args[argument + 1 :])
        return self.with_statement(statement, replace(old, args=args))

    def with_statement(self, index: int, *new: Assign) -> "Program":
        """A copy with statement `index` replaced by `new` (none: removed)."""
        return replace(self, body=(*self.body[:index], *new, *self.body[index + 1 :]))

    def inlined(self) -> "Program":
        """A copy with the hyperparameters' default values written in as constants."""
        values: dict[str, Argument] = dict(self.hyperparameters)
        body = []
        for statement in self.body:
            args = tuple(values.get(a, a) if isinstance(a, str) else a for a in statement.args)
            body.append(replace(statement, args=args))
            values.pop(statement.target, None)
        if any(output in values for output in self.outputs):
            raise ValueError(f"rule {self.name!r} returns a hyperparameter; it can't be inlined")
        return replace(self, body=tuple(body), hyperparameters=())

    def __str__(self) -> str:
        """The rule as text; `metaopt.rules.parse` reads it back."""
        named = [f"{name}={format_constant(value)}" for name, value in self.hyperparameters]
        signature = [*self.inputs[: len(self.inputs) - len(named)], *named]
        lines = [f"def {self.name}({', '.join(signature)}):"]
        if self.doc:
            # Behind a quotation mark of the docstring's own, the closing ones need their own line.
            end = '\n"""' if self.doc.endswith('"') else '"""'
            text = f'"""{self.doc}{end}'.split("\n")
            lines += [f"    {line}".rstrip() for line in text]
        lines += [f"    {statement}" for statement in self.body]
        lines += [f"    return {', '.join(self.outputs)}"]
        return "\n".join(lines) + "\n"
