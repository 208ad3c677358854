"""The table of tasks and the named suites.

A row of the table is a frozen configuration, which knows its `name` and can `build` its task. To
add a task, add a row; to add a family, write its configuration in a file of its own first. A
configuration outside the table works as well: `DigitsMLP(widths=(48,)).build()`.
"""

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Protocol

from tasks.base import Task
from tasks.digits import DigitsConv, DigitsMLP
from tasks.quadratic import Quadratic
from tasks.tabular import TabularMLP
from tasks.text import TextMLP, TextTransformer


class TaskConfig(Protocol):
    """A frozen dataclass that describes one task; equal names mean equal configurations."""

    @property
    def name(self) -> str: ...

    def build(self) -> Task: ...


_CONFIGS: tuple[TaskConfig, ...] = (
    DigitsMLP(),
    DigitsConv(),
    TabularMLP("wine"),
    TabularMLP("breast_cancer"),
    TextMLP(),
    TextTransformer(),
    Quadratic(condition_number=10.0),
    Quadratic(condition_number=1000.0, noise=0.1, seed=1),
    Quadratic(condition_number=10000.0, seed=2),
)

TASKS: Mapping[str, TaskConfig] = {config.name: config for config in _CONFIGS}
"""Every named task: name -> configuration. Reading the table loads no data."""

SUITES: Mapping[str, tuple[str, ...]] = {
    "proxy_v1": (
        "digits_mlp_32_relu_b32",
        "kjv_mlp_c8_e16_h64_b32",
        "quadratic_12x8_4_cond10_noise0_seed0",
        "quadratic_12x8_4_cond1000_noise0.1_seed1",
        "quadratic_12x8_4_cond10000_noise0_seed2",
    ),
    "held_out_demo_v1": (
        "digits_conv_8x16_relu_b32",
        "wine_mlp_24x24_tanh_b16",
        "breast_cancer_mlp_24x24_tanh_b16",
        "kjv_transformer_l1_w64_h4_c32_b16",
    ),
}
"""Suite with version -> names of its tasks. A published version never changes: a change is a new
version."""


class UnknownNameError(KeyError):
    """A name that a table lacks; the message names the nearest ones."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put the message in quotes.
        return self.args[0]


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    advice = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known)}"
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
    """The names of all tasks, in the table's order."""
    return tuple(TASKS)


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
