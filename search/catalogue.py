"""`metaopt rules` and `metaopt tasks`: what there is by name."""

import sys

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

import tasks
from metaopt import loading
from metaopt.rules.program import Program
from search.config_file import message
from search.errors import UserError


def rule(name: str) -> tuple[Program, float | None]:
    """A rule by name or from a file, and its default learning rate if it has one.

    Raises:
      UserError: there is none; the message names near matches.
      RuleError: the file is not a valid rule.
    """
    try:
        return loading.find(name)
    except (KeyError, FileNotFoundError) as error:
        raise UserError(message(error)) from None


def list_rules() -> int:
    """Print the known rules, one a line."""
    table = _table("rule", "states", "statements", "hyperparameters")
    for name in loading.names():
        program, _ = loading.find(name)
        values = ", ".join(f"{key}={value:g}" for key, value in program.hyperparameters)
        table.add_row(name, str(len(program.states)), str(len(program.body)), values)
    _print(table)
    return 0


def show_rule(name: str) -> int:
    """Print a rule as text."""
    program, _ = rule(name)
    console = Console()
    if console.is_terminal:
        console.print(Syntax(str(program).rstrip(), "python", background_color="default"))
    else:
        print(str(program).rstrip())
    return 0


def list_tasks() -> int:
    """Print the tasks, with the family and the suites of each; no data is loaded."""
    table = _table("task", "family", "suites")
    for name, config in tasks.TASKS.items():
        suites = ", ".join(suite for suite, members in tasks.SUITES.items() if name in members)
        table.add_row(name, type(config).__name__, suites)
    _print(table)
    return 0


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True, style="bold")
    for title in others[:-1]:
        justify = "right" if title in ("states", "statements") else "left"
        table.add_column(title, justify=justify, no_wrap=True)
    table.add_column(others[-1])
    return table


def _print(table: Table) -> None:
    # Into a pipe, a row is one line, however long.
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
