"""The named suites, and every task that a suite names.

A suite is a versioned list of configurations, each with the number of steps of its standard
training. A published version never changes: a change of any number is a new version.
"""

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks import held_out, sampled
from tasks.base import FamilyConfig, Task, TaskConfig
from tasks.families import FAMILIES
from tasks.families.conv import ConvNet
from tasks.families.mlp import MLP
from tasks.families.quadratic import Quadratic
from tasks.families.text_mlp import TextMLP
from tasks.families.transformer import TextTransformer


class Entry(NamedTuple):
    """A task of a suite: its configuration, and how many steps its standard training takes."""

    config: TaskConfig
    steps: int


def _entries(*rows: tuple[TaskConfig, int]) -> Mapping[str, Entry]:
    return {config.name: Entry(config, steps) for config, steps in rows}


SUITES: Mapping[str, Mapping[str, Entry]] = {
    "proxy_v1": _entries(
        (MLP(), 200),
        (TextMLP(), 200),
        (Quadratic(condition_number=10.0), 200),
        (Quadratic(condition_number=1000.0, noise=0.1, seed=1), 200),
        (Quadratic(condition_number=10000.0, seed=2), 200),
    ),
    "meta_demo_v1": _entries((MLP(batch_size=128), 500)),
    "held_out_demo_v1": _entries(
        (ConvNet(), 200),
        (MLP("wine", (24, 24), "tanh", 16), 200),
        (MLP("breast_cancer", (24, 24), "tanh", 16), 200),
        (TextTransformer(), 200),
    ),
    "meta_train_v1": _entries(*sampled.read("meta_train_v1")),
    "validation_v1": _entries(*sampled.read("validation_v1")),
    "held_out_v1": _entries(*held_out.V1),
}
"""Suite with version -> its tasks by name. Reading the table loads no data."""

TASKS: Mapping[str, TaskConfig] = {
    name: entry.config for suite in SUITES.values() for name, entry in suite.items()
}
"""Every named task: name -> configuration."""


_LISTED = 20

HELD_OUT = "held_out"
"""The suite of which every version is for final comparisons only."""


class UnknownNameError(KeyError):
    """A name that a table lacks; the message names the nearest ones."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put the message in quotes.
        return self.args[0]


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    listed = ", ".join(known) if len(known) < _LISTED else "those of `metaopt tasks list`"
    advice = f"did you mean {' or '.join(near)}?" if near else f"choose one of {listed}"
    return UnknownNameError(f"unknown {kind} {name!r}: {advice}")


@functools.cache
def get(name: str) -> Task:
    """The task of that name, built (and its data read) on first use, then always the same object.

    Raises:
      UnknownNameError: a KeyError that names near matches.
    """
    if name not in TASKS:
        raise _unknown("task", name, TASKS)
    return TASKS[name].build()


def names() -> tuple[str, ...]:
    """The names of all tasks that some suite holds."""
    return tuple(TASKS)


def families() -> Mapping[str, type[FamilyConfig]]:
    """The families: name -> the class of its configurations, which can also `sample` one."""
    return FAMILIES


def is_held_out(name: str) -> bool:
    """Whether a task is for final comparisons only: nothing may be selected by it."""
    return any(
        name in members
        for suite, members in SUITES.items()
        if suite.rpartition("_v")[0] == HELD_OUT
    )


def resolve_suite(name: str) -> str:
    """The full name of a suite, for records: `"proxy"` -> its newest version, such as `"proxy_v1"`.

    Raises:
      UnknownNameError: a KeyError that names near matches.
    """
    if name in SUITES:
        return name
    versions = {full: full.rpartition("_v") for full in SUITES}
    matches = {int(version): full for full, (base, _, version) in versions.items() if base == name}
    if not matches:
        raise _unknown("suite", name, SUITES)
    return matches[max(matches)]


def suite(name: str) -> tuple[Task, ...]:
    """The tasks of a suite, in its order.

    Args:
      name: with its version (`"proxy_v1"`), or without for the newest (`"proxy"`).

    Raises:
      UnknownNameError: a KeyError that names near matches.
    """
    return tuple(map(get, SUITES[resolve_suite(name)]))


def steps(name: str) -> dict[str, int]:
    """The length of the standard training of each task of a suite, by the task's name.

    Raises:
      UnknownNameError: as `suite`.
    """
    return {task: entry.steps for task, entry in SUITES[resolve_suite(name)].items()}
