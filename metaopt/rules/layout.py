"""Lines of Python laid out as `ruff format` would lay them out, at 100 columns."""

import re
import textwrap
from collections.abc import Sequence

WIDTH = 100
INDENT = "    "


def indented(lines: Sequence[str], levels: int = 1) -> list[str]:
    """Lines moved to the right."""
    return [INDENT * levels + line if line else line for line in lines]


def assigned(target: str, expression: str, level: int) -> list[str]:
    """`target = expression`, or with an empty target `return expression`."""
    start = f"{target} = " if target else "return "
    if len(INDENT * level + start + expression) <= WIDTH:
        return [start + expression]
    return [f"{start}(", INDENT + expression, ")"]


def called(start: str, arguments: Sequence[str], level: int, end: str = "") -> list[str]:
    """`start(arguments)end` on one line, else the arguments on one line, else one on each."""
    line = f"{start}({', '.join(arguments)}){end}"
    if len(INDENT * level + line) <= WIDTH:
        return [line]
    inner = INDENT + ", ".join(arguments)
    if len(INDENT * level + inner) <= WIDTH:
        return [f"{start}(", inner, f"){end}"]
    return [f"{start}(", *(f"{INDENT}{a}," for a in arguments), f"){end}"]


def signature(name: str, parameters: Sequence[str], result: str) -> list[str]:
    """The head of a function; what follows `*` goes on lines of its own."""
    if "*" not in parameters:
        line = f"def {name}({', '.join(parameters)}) -> {result}:"
        if len(line) <= WIDTH:
            return [line]
    return [f"def {name}(", *(f"{INDENT}{p}," for p in parameters), f") -> {result}:"]


def paragraph(text: str, level: int, hanging: str = "") -> list[str]:
    """Text wrapped for a docstring at a level of indentation."""
    width = WIDTH - 4 - len(INDENT) * level
    lines = []
    for block in text.expandtabs().split("\n"):
        lines += textwrap.wrap(block, width, subsequent_indent=hanging) or [""]
    return lines


def docstring(lines: Sequence[str]) -> list[str]:
    """A docstring of these lines, the first of which is the summary."""
    text = [line.rstrip().replace("\\", "/").replace('"""', "'''") for line in lines]
    while text and not text[-1]:
        text.pop()
    if len(text) == 1:
        return [f'"""{text[0]}"""']
    return [f'"""{text[0]}', *text[1:], '"""']


def mathematics(code: str) -> str:
    """An expression of generated code as plain-text mathematics."""
    code = re.sub(r"jnp\.asarray\((\w+), \w+\.dtype\)", r"\1", code)
    code = re.sub(r"jnp\.full_like\(\w+, (.*)\)", r"\1", code)
    for name, meaning in _MATHEMATICS.items():
        pattern = rf"\b{name}\b" if name.isidentifier() else re.escape(name)
        code = re.sub(pattern, meaning, code)
    return re.sub(r"state\.(\w+)", r"\1", code)


_MATHEMATICS = {
    "jnp.linalg.norm": "norm",
    "optax.tree.full_like": "full_like",
    "optax.tree.norm": "global_norm",
    "optax.tree.vdot": "dot",
    "jnp.maximum": "max",
    "jnp.minimum": "min",
    "jnp.": "",
    "updates": "g",
    "params": "w",
    " ** ": "^",
    "**": "^",
}
