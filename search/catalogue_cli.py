"""The commands that show what there is by name: `metaopt rules`, `baselines` and `tasks`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand


@dataclass(frozen=True)
class ListRules:
    """List the known rules."""

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.list_rules()


@dataclass(frozen=True)
class ShowRule:
    """Print a known rule.

    Attributes:
      name: name of the rule, or a rule file.
    """

    name: Positional[str]

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.show_rule(self.name)


@dataclass(frozen=True)
class Rules:
    """The rules that are known by name."""

    command: Annotated[ListRules, subcommand("list")] | Annotated[ShowRule, subcommand("show")]

    def __call__(self) -> int:
        return self.command()


@dataclass(frozen=True)
class ListBaselines:
    """List the optimizers of the literature, with the size of their state and what they need.

    Attributes:
      group: only those of one group, such as adaptive or memory_efficient.
      need: only those that need something besides gradients, such as value or matrix_axes.
      kind: only transform, wrapper or schedule.
    """

    group: str = ""
    need: str = ""
    kind: str = ""

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.list_baselines(group=self.group, need=self.need, kind=self.kind)


@dataclass(frozen=True)
class ShowBaseline:
    """Show what is known of a baseline: equations, publication, needs, memory, deviations.

    Attributes:
      name: id of the baseline.
    """

    name: Positional[str]

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.show_baseline(self.name)


@dataclass(frozen=True)
class Baselines:
    """The optimizers, wrappers and schedules of the literature."""

    command: (
        Annotated[ListBaselines, subcommand("list")] | Annotated[ShowBaseline, subcommand("show")]
    )

    def __call__(self) -> int:
        return self.command()


@dataclass(frozen=True)
class ListTasks:
    """List the suites, or the tasks of one: family, standard length, name.

    Attributes:
      suite: suite whose tasks to list, with or without its version; default: an overview.
    """

    suite: Positional[str] = ""

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.list_tasks(self.suite)


@dataclass(frozen=True)
class ShowTask:
    """Show what is known of a task: its configuration, size, cost and losses.

    Attributes:
      name: name of the task.
    """

    name: Positional[str]

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.show_task(self.name)


@dataclass(frozen=True)
class PlotTasks:
    """Draw the published curves of a suite: what is normal on each of its tasks.

    Attributes:
      suite: suite of tasks.
      output: PNG file to write.
    """

    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE.png")]
    suite: Positional[str] = "held_out"

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.plot_tasks(self.suite, self.output)


@dataclass(frozen=True)
class FetchData:
    """Get a data set that no package brings, check it, and keep it where such data is kept.

    Attributes:
      name: name of the data set.
    """

    name: Positional[str]

    def __call__(self) -> int:
        from search import catalogue

        return catalogue.fetch(self.name)


@dataclass(frozen=True)
class Tasks:
    """The tasks that optimizers are trained on, and their data."""

    command: (
        Annotated[ListTasks, subcommand("list")]
        | Annotated[ShowTask, subcommand("show")]
        | Annotated[PlotTasks, subcommand("plot")]
        | Annotated[FetchData, subcommand("fetch")]
    )

    def __call__(self) -> int:
        return self.command()
