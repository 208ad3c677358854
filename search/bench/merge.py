"""`metaopt bench merge`: benchmarks of other optimizers side by side, as if they had been one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from search.bench import store
from search.bench.config import BenchConfig
from search.bench.contenders import name_of
from search.bench.results import Setting
from search.errors import UserError

_SAME = ("suite", "trials", "seeds", "first_seed", "tuning", "points", "task_names")
"""What makes trainings of two benchmarks comparable: the same data, and the same budget."""


def merge(folders: Sequence[Path], out: Path, optimizers: Sequence[str] = ()) -> None:
    """Make a benchmark of what others have measured; nothing is trained.

    It has the lengths and schedules that all of its optimizers were trained with, and the tasks
    that are done in all folders; what is left of them `metaopt bench resume` would do.

    Args:
      folders: folders of benchmarks; of an optimizer and setting in several, the first's is taken.
      out: the new folder.
      optimizers: names of those to take, in this order; all if there are none.

    Raises:
      UserError: there are no folders, or one holds no benchmark; plans differ; an optimizer is in
        none of the folders, or asked for twice, or different ones have its name; or nothing is
        common to all.
    """
    if not folders:
        raise UserError(
            "nothing to merge: name the folders of benchmarks, `metaopt bench merge A B`"
        )
    plans = [store.plan(folder) for folder in folders]
    for folder, plan in zip(folders, plans, strict=True):
        for field in _SAME:
            first, other = getattr(plans[0], field), getattr(plan, field)
            if first != other:
                raise UserError(
                    f"{folders[0]} and {folder} cannot be compared, since their {field} differ: "
                    f"{_short(first)} and {_short(other)}"
                )
    members: dict[str, list[tuple[Path, BenchConfig, str]]] = {}
    for folder, plan in zip(folders, plans, strict=True):
        for text in plan.optimizers:
            members.setdefault(name_of(text), []).append((folder, plan, text))
    names = tuple(optimizers) or tuple(members)
    for name in names:
        if name not in members:
            raise UserError(f"{name} is in none of these benchmarks: choose from {sorted(members)}")
        _check_one(name, members[name])
    if len(set(names)) < len(names):
        raise UserError(f"--optimizers: some are given twice: {', '.join(names)}")
    merged = replace(
        plans[0],
        optimizers=tuple(members[name][0][2] for name in names),
        lengths=_common([[n for _, p, _ in members[name] for n in p.lengths] for name in names]),
        schedules=_common(
            [[s for _, p, _ in members[name] for s in p.schedules] for name in names]
        ),
    )
    sources = {
        (setting, name): _source(name, setting, members[name])
        for setting in merged.settings
        for name in names
    }
    costs = store.merged_costs({name: members[name][0][0] for name in names})
    of_folder = dict(zip(folders, plans, strict=True))
    planned = store.begin(out, merged)
    for task in merged.task_names:
        if all(store.is_done(folder, task) for folder in {*sources.values()}):
            found = {
                folder: store.read(folder, task, of_folder[folder])
                for folder in dict.fromkeys(sources.values())
            }
            facts = next(iter(found.values()))[0]
            measured = {key: found[folder][1][key] for key, folder in sources.items()}
            store.write(out, task, facts, measured, config=planned)
    store.write_costs(out, *costs)


def _check_one(name: str, members: list[tuple[Path, BenchConfig, str]]) -> None:
    """Refuse optimizers of one name that are different: tables could not tell them apart.

    Raises:
      UserError: they are.
    """
    first, _, text = members[0]
    for folder, _, other in members[1:]:
        if _content(text) != _content(other):
            raise UserError(
                f"the optimizers {name} of {first} and {folder} are different: rename one and run "
                "its benchmark again, or leave them out with --optimizers"
            )


def _content(text: str) -> str | bytes:
    """What an optimizer is: the content of the copy that is kept of a file, or else its name."""
    path = Path(text)
    return path.read_bytes() if path.is_absolute() and path.is_file() else text


def _source(name: str, setting: Setting, members: list[tuple[Path, BenchConfig, str]]) -> Path:
    """The first folder where an optimizer was trained in a setting."""
    for folder, plan, _ in members:
        if setting in plan.settings:
            return folder
    raise UserError(
        f"{name} was trained with lengths and with schedules that the others have, but not with "
        f"length {setting.length:g} and schedule {setting.schedule} together; leave it out"
    )


def _common(values: list[list]) -> tuple:
    """What is in all lists, in the order of the first."""
    both = reduce(lambda kept, other: [x for x in kept if x in other], values)
    if not both:
        raise UserError(
            "these optimizers have no length, or no schedule, in common; choose some with "
            "--optimizers"
        )
    return tuple(dict.fromkeys(both))


def _short(value: object) -> str:
    return f"{len(value)} tasks" if isinstance(value, tuple) else str(value)
