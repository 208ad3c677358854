"""Rule text to `Program`. The text is parsed as Python and never executed."""

import ast
import difflib
import inspect
import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from metaopt.rules.check import check
from metaopt.rules.ops import OPS
from metaopt.rules.program import (
    GRADIENT,
    PARAMETERS,
    RATE,
    RESERVED,
    STEP,
    Argument,
    Assign,
    Program,
    constant,
)

MAX_CHARACTERS = 32_768
MAX_STATEMENTS = 256
MAX_STATES = 16
MAX_HYPERPARAMETERS = 32
MAX_NAME = 40
ARGUMENTS = frozenset({"learning_rate", "program", "name_or_path", "hyperparameters"})
"""Arguments of `transform` and `metaopt.load`, which no hyperparameter may be named like.

They cannot be positional-only: `optax.inject_hyperparams` passes every argument by its name.
"""

_INFIX: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


@dataclass
class RuleError(ValueError):
    """A rule that cannot be used: what is wrong, where, and what was expected.

    Attributes:
      problem: what is wrong and what to do.
      filename: the file, or "<rule>".
      line: 1-based line, 0 when unknown.
      column: 1-based column, 0 when unknown.
    """

    problem: str
    filename: str = "<rule>"
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """The message, led by its place as compilers write it."""
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.filename}{place}: {self.problem}"


def parse(text: str, filename: str = "<rule>") -> Program:
    """Read a rule.

    The text holds one function, written in a subset of Python:

        def momentum(w, g, m, lr, decay=0.9):
            m = decay * m
            m = m + g
            u = lr * m
            return u, m

    Its parameters are `w`, `g`, the states, `lr`, `t` if the rule uses the step, and
    hyperparameters with their defaults. Each statement assigns one operation; the function returns
    the update and the new value of each state.

    Args:
      text: the rule, at most 32,768 characters.
      filename: where it came from, for error messages.

    Returns:
      A program that passes `check`.

    Raises:
      RuleError: the text is not a valid rule.
    """
    if len(text) > MAX_CHARACTERS:
        raise RuleError(
            f"the rule has {len(text)} characters; at most {MAX_CHARACTERS} are allowed", filename
        )
    try:
        tree = ast.parse(text, filename)
    except SyntaxError as error:
        problem = f"not valid Python: {error.msg}"
        raise RuleError(problem, filename, error.lineno or 0, error.offset or 0) from None
    except (ValueError, MemoryError, RecursionError) as error:
        problem = f"the text cannot be parsed ({type(error).__name__}); is it a rule file?"
        raise RuleError(problem, filename) from None
    return _Reader(filename).module(tree)


def read(path: str | Path) -> Program:
    """Read a rule file.

    Raises:
      FileNotFoundError: there is no such file.
      RuleError: the file is not a valid rule.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > 4 * MAX_CHARACTERS:
        raise RuleError(f"the file has {size} bytes; a rule has far fewer", str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RuleError("the file is not UTF-8 text", str(path)) from None
    return parse(text, str(path))


class _Reader:
    """Turns the syntax tree of one file into a program."""

    def __init__(self, filename: str):
        self.filename = filename

    def fail(self, node: ast.AST, problem: str) -> NoReturn:
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1
        raise RuleError(problem, self.filename, line, column)

    def module(self, tree: ast.Module) -> Program:
        if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
            node = next((n for n in tree.body if not isinstance(n, ast.FunctionDef)), tree)
            self.fail(node, "a rule file holds exactly one function, `def NAME(w, g, ..., lr):`")
        function = tree.body[0]
        if function.decorator_list or function.returns:
            self.fail(function, "a rule has no decorators and no annotations; remove them")
        name = self.name(function, function.name)
        states, hyperparameters = self.signature(function)
        doc, body = self.docstring(function)
        if not body or not isinstance(body[-1], ast.Return):
            self.fail(body[-1] if body else function, "the last statement must be `return ...`")
        if len(body) - 1 > MAX_STATEMENTS:
            self.fail(function, f"{len(body) - 1} statements; at most {MAX_STATEMENTS} are allowed")
        outputs = self.outputs(body[-1], states)
        statements = [self.statement(node) for node in body[:-1]]
        program = Program(name, states, tuple(statements), outputs, hyperparameters, doc)
        problem = check(program)
        if problem:
            node = body[problem.statement]
            self.fail(node, problem.message)
        return program

    def name(self, node: ast.AST, name: str) -> str:
        if len(name) > MAX_NAME:
            self.fail(node, f"name of {len(name)} characters; at most {MAX_NAME} are allowed")
        # A constant such as `eps()` is only ever called, so a hyperparameter may be named `eps`.
        if name in OPS and OPS[name].arity:
            self.fail(node, f"{name!r} is an operation; choose another name")
        if keyword.iskeyword(name) or not name.isascii():
            self.fail(node, f"{name!r} cannot be a name here; use ASCII letters, digits and _")
        return name

    def signature(
        self, function: ast.FunctionDef
    ) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
        spec = function.args
        unusual = [*spec.posonlyargs, *spec.kwonlyargs, spec.vararg, spec.kwarg]
        for node in unusual:
            if node is not None:
                self.fail(node, "a rule takes plain parameters only, without *, ** or /")
        for parameter in spec.args:
            if parameter.annotation:
                self.fail(parameter, "a rule has no annotations; remove it")
        first_default = len(spec.args) - len(spec.defaults)
        names = [self.name(p, p.arg) for p in spec.args[:first_default]]
        if names[-1:] == [STEP]:
            names.pop()
        if names[:2] != [PARAMETERS, GRADIENT] or names[2:][-1:] != [RATE]:
            expected = "(w, g, STATES..., lr), then t if used, then hyperparameters with defaults"
            found = ", ".join(p.arg for p in spec.args)
            self.fail(function, f"parameters are ({found}); expected {expected}")
        states = tuple(names[2:-1])
        if len(states) > MAX_STATES:
            self.fail(function, f"{len(states)} states; at most {MAX_STATES} are allowed")
        if len(spec.defaults) > MAX_HYPERPARAMETERS:
            self.fail(function, f"at most {MAX_HYPERPARAMETERS} hyperparameters are allowed")
        hyperparameters = []
        for parameter, default in zip(spec.args[first_default:], spec.defaults, strict=True):
            value = self.constant(default)
            if value is None:
                self.fail(default, "the default of a hyperparameter must be a number")
            hyperparameters.append((self.name(parameter, parameter.arg), value))
        for name, _ in hyperparameters:
            if name in ARGUMENTS:
                self.fail(
                    function,
                    f"a hyperparameter named {name!r} could not be set: `metaopt.load` has an "
                    "argument of that name; choose another name",
                )
        named = [*states, *(name for name, _ in hyperparameters)]
        for name in named:
            if name in RESERVED or named.count(name) > 1:
                self.fail(function, f"parameter {name!r} is taken; choose another name")
        return states, tuple(hyperparameters)

    def docstring(self, function: ast.FunctionDef) -> tuple[str, list[ast.stmt]]:
        first = function.body[0]
        if not (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            return "", function.body
        doc = _clean(first.value.value)
        if '"""' in doc or "\\" in doc or _UNPRINTABLE.search(doc):
            self.fail(first, 'a docstring holds no """, no backslash and no control characters')
        return doc, function.body[1:]

    def outputs(self, node: ast.Return, states: tuple[str, ...]) -> tuple[str, ...]:
        value = node.value
        items = value.elts if isinstance(value, ast.Tuple) else [value] if value else []
        names = [item.id for item in items if isinstance(item, ast.Name)]
        expected = ", ".join(("the update", *(f"the new {s}" for s in states)))
        if len(names) != len(items) or len(names) != 1 + len(states):
            self.fail(node, f"return the names of {expected}: {1 + len(states)} in all")
        return tuple(names)

    def statement(self, node: ast.stmt) -> Assign:
        if not (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ):
            self.fail(node, "each statement assigns one name: `NAME = OPERATION(ARGUMENTS)`")
        target = self.name(node.targets[0], node.targets[0].id)
        value = node.value
        if isinstance(value, ast.BinOp) and type(value.op) in _INFIX:
            op, arguments = _INFIX[type(value.op)], [value.left, value.right]
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            op, arguments = value.func.id, value.args
            if value.keywords:
                self.fail(value, f"{op} takes no keyword arguments")
        else:
            self.fail(value, "expected one operation, as in `x + y` or `interp(x, y, 0.9)`")
        if op not in OPS or (OPS[op].infix and isinstance(value, ast.Call)):
            near = _near(op)
            self.fail(value, f"there is no operation {op!r}{near}")
        if len(arguments) != OPS[op].arity:
            self.fail(value, f"{op} takes {OPS[op].arity} arguments, not {len(arguments)}")
        return Assign(target, op, tuple(self.argument(a) for a in arguments))

    def argument(self, node: ast.expr) -> Argument:
        if isinstance(node, ast.Name):
            return node.id
        value = self.constant(node)
        if value is None:
            self.fail(node, "an argument is a name or a number; give inner results a name first")
        return value

    def constant(self, node: ast.expr) -> float | None:
        sign = 1.0
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node = -1.0, node.operand
        value = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        try:
            return constant(sign * float(value))
        except (ValueError, OverflowError):
            self.fail(node, "the number is beyond the range of float32")


_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Characters, which escapes can make, that a rule's text would not bring back."""


def _clean(doc: str) -> str:
    """A docstring as it is read again from the text that a program is written as."""
    while doc != (doc := "\n".join(map(str.rstrip, inspect.cleandoc(doc).split("\n")))):
        pass  # a first line of spaces only moves the indentation to the next one
    return doc


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, OPS, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""
