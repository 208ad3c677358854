"""`metaopt rules`, `metaopt baselines` and `metaopt tasks`: what there is by name."""

import difflib
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

import tasks
from metaopt import loading
from metaopt.baselines import BASELINES, Baseline
from metaopt.baselines.baseline import arguments_of, equations_of
from metaopt.baselines.memory import relative_memory
from metaopt.rules.program import Program
from search.config_file import message
from search.errors import UserError, write_whole

T = TypeVar("T")


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
    for name in loading.rule_names():
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


def list_baselines(*, group: str = "", need: str = "", kind: str = "") -> int:
    """Print the baselines that are of a group and a kind and have a need, one a line."""
    rows = list(BASELINES.values())
    for title, choice, values in (
        ("group", group, lambda row: (row.group,)),
        ("need", need, lambda row: row.needs),
        ("kind", kind, lambda row: (row.kind,)),
    ):
        known = sorted({value for row in BASELINES.values() for value in values(row)})
        if choice and choice not in known:
            raise UserError(f"no baseline has {title} {choice!r}; there are {', '.join(known)}")
        rows = [row for row in rows if not choice or choice in values(row)]
    table = _table("id", "year", "group", "kind", "state", "checked against", "needs")
    for row in rows:
        table.add_row(
            row.id,
            str(row.year),
            row.group,
            row.kind,
            _state(row),
            ", ".join(name.split()[0] for name in row.checked),
            ", ".join(row.needs),
        )
    _print(table)
    print(
        f"\n{len(rows)} of {len(BASELINES)} baselines; state: bytes over those of the parameters\n"
        "`metaopt baselines show ID` shows one"
    )
    return 0


def show_baseline(name: str) -> int:
    """Print a baseline's equations and what is known of it."""
    if name not in BASELINES:
        near = difflib.get_close_matches(name, BASELINES, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "see `metaopt baselines list`"
        raise UserError(f"no baseline {name!r}; {advice}")
    row = BASELINES[name]
    print(f"{row.name}\n\n{textwrap.indent(equations_of(row), '    ')}\n")
    _facts(
        {
            "call": f"metaopt.baselines.{row.id}{arguments_of(row)}",
            "publication": f"{row.authors}, {row.title}, {row.year}, {row.source}",
            "group": row.group,
            "kind": row.kind,
            "needs": ", ".join(row.needs) or "gradients only",
            "state": f"{_state(row)} times the parameters" if _state(row) else "",
            "checked against": ", ".join(row.checked),
            "tuned over": ", ".join(
                f"{key} {low:.2g} to {high:.2g}" for key, (low, high) in row.tuning.items()
            ),
            "deviations": row.deviations,
        }
    )
    return 0


def _state(row: Baseline) -> str:
    memory = relative_memory(row)
    return "" if memory is None else f"{memory:.2f}"


def list_tasks(suite: str) -> int:
    """Print the suites, or the tasks of one with family and standard length; no data is loaded."""
    if not suite:
        table = _table("suite", "tasks", "families")
        for name, members in tasks.SUITES.items():
            families = sorted({tasks.family(entry.config) for entry in members.values()})
            table.add_row(name, str(len(members)), ", ".join(families))
        _print(table)
        print("\n`metaopt tasks list SUITE` lists its tasks, `metaopt tasks show NAME` shows one")
        return 0
    table = _table("task", "steps", "family")
    for name, entry in tasks.SUITES[_known(tasks.resolve_suite, suite)].items():
        table.add_row(name, str(entry.steps), tasks.family(entry.config))
    _print(table)
    return 0


def show_task(name: str) -> int:
    """Print a task's configuration and what is known of it without training."""
    task = _known(tasks.get, name)
    config = tasks.TASKS[name]
    suites = [suite for suite, members in tasks.SUITES.items() if name in members]
    rows = {
        "family": tasks.family(config),
        "suites": ", ".join(suites),
        "standard length": f"{tasks.SUITES[suites[0]][name].steps} steps",
        "parameters": f"{tasks.parameter_count(task):,}",
        "operations a step": f"{tasks.step_flops(task):,}",
        "loss at initialization": f"{tasks.initial_loss(task):.5g}",
        "loss of the trivial predictor": f"{task.trivial_loss:.5g}",
    }
    rows |= {
        f"tuned {optimizer}": f"{curve.validation[-1]:.5g} after {curve.steps[-1]} steps at "
        f"learning rate {curve.learning_rate:.3g}"
        for suite in suites
        for optimizer, curve in tasks.curves(suite).get(name, {}).items()
    }
    print(name)
    print(f"{config}\n")
    _facts(rows)
    return 0


def plot_tasks(suite: str, output: Path) -> int:
    """Draw the published curves of a suite."""
    from search.bench.plots_curves import published_curves
    from search.figures import LIGHT

    if output.suffix != ".png":
        raise UserError(f"{output}: the figure is a PNG, so its name must end in .png")
    full = _known(tasks.resolve_suite, suite)
    if not tasks.curves(full):
        raise UserError(f"{full} has no published curves; held_out has")
    write_whole(output, published_curves(LIGHT, full))
    print(f"wrote {output}")
    return 0


def fetch(name: str) -> int:
    """Get a data set that no package brings."""
    from tasks.data.cache import fetch

    try:
        fetch(name, print)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(message(error)) from None
    return 0


def _known(find: Callable[[str], T], name: str) -> T:
    """What a name stands for.

    Raises:
      UserError: nothing, or its data is missing.
    """
    try:
        return find(name)
    except (KeyError, FileNotFoundError, ModuleNotFoundError) as error:
        raise UserError(message(error)) from None


def _facts(rows: Mapping[str, str]) -> None:
    """Print what is known, a line each."""
    width = max(map(len, rows))
    for title, value in rows.items():
        if value:
            print(f"{title:{width}}  {value}")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True, style="bold")
    for title in others[:-1]:
        justify = (
            "right" if title in ("states", "statements", "tasks", "steps", "state") else "left"
        )
        table.add_column(title, justify=justify, no_wrap=True)
    table.add_column(others[-1])
    return table


def _print(table: Table) -> None:
    # Into a pipe, a row is one line, however long.
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
