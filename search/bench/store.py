"""A benchmark's folder: its plan, and a file for each task, written whole when the task is done.

bench.json        the plan
optimizers/       copies of the files among the optimizers
tasks/NAME.npz    what was measured on a task, and its facts
unfinished/NAME/  the trainings of a task that are under way
costs.json        step time and state size of each optimizer
"""

import dataclasses
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from metaopt.learned import checkpoint
from metaopt.loading import RULE_SUFFIX
from search.bench.admission import admit
from search.bench.config import BenchConfig, check_lengths
from search.bench.contenders import name_of
from search.bench.identity import difference, identity
from search.bench.results import Cost, Facts, Results, Setting, Trials
from search.config import from_json, to_json
from search.errors import UserError, write_whole

PLAN, COSTS, TASKS, OPTIMIZERS = "bench.json", "costs.json", "tasks", "optimizers"
UNFINISHED = "unfinished"
_SUFFIXES = (RULE_SUFFIX, checkpoint.SUFFIX, ".py")

_DAMAGED = (
    ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What comes of reading files that were cut off or overwritten."""

Measured = Mapping[tuple[Setting, str], Trials]
"""What was measured on a task: (setting, optimizer) -> trials."""


def create(folder: Path, config: BenchConfig) -> BenchConfig:
    """Begin a benchmark; files among the optimizers are copied, so that it can be gone on with.

    Raises:
      UserError: the folder holds something of a benchmark, a length cannot be trained, an optimizer
        cannot be used, or two have the same name.
    """
    _check_vacant(folder)
    check_lengths(config)
    for text in config.optimizers:
        admit(text, config.tuning)
    return begin(folder, config)


def begin(folder: Path, config: BenchConfig) -> BenchConfig:
    """Begin a benchmark as `create` does, of optimizers that need not work: nothing runs.

    Raises:
      UserError: the folder holds something of a benchmark, a file among the optimizers cannot be
        copied, or two optimizers have the same name.
    """
    _check_vacant(folder)
    texts = [
        str(Path(text).resolve()) if Path(text).is_dir() else text for text in config.optimizers
    ]
    names = [name_of(text) for text in texts]
    if len(set(names)) < len(names):
        raise UserError(f"two optimizers have the same name: {', '.join(names)}; rename a file")
    kept = tuple(_copied(folder, text) for text in texts)
    suite = tasks.resolve_suite(config.suite)
    write_whole(folder / PLAN, to_json(replace(config, suite=suite, optimizers=kept)) + "\n")
    return plan(folder)


def _check_vacant(folder: Path) -> None:
    """Refuse a folder with anything that the new benchmark would take for its own.

    Raises:
      UserError: there is.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose a folder for the benchmark")
    if (folder / PLAN).exists():
        raise UserError(
            f"{folder} holds a benchmark already; go on with `metaopt bench resume {folder}`, or "
            "choose another folder"
        )
    left = [folder / COSTS, *(folder / TASKS).glob("*.npz"), *(folder / UNFINISHED).rglob("*.npz")]
    for path in left:
        if path.is_file():
            raise UserError(
                f"{path} is of a benchmark whose plan, {folder / PLAN}, is gone; choose another "
                "folder, or empty this one"
            )


def _copied(folder: Path, text: str) -> str:
    """An optimizer that is a file as the name of its copy in the folder; any other as it is.

    Raises:
      UserError: it is a file that is not there, or cannot be copied.
    """
    source = Path(text)
    if not source.is_file():
        if source.suffix in _SUFFIXES:
            raise UserError(f"there is no file {source}")
        return text
    copy = folder / OPTIMIZERS / source.name
    files = {source: copy}
    if source.suffix == checkpoint.SUFFIX:  # weights are nothing without their card
        files[source.with_suffix(".json")] = copy.with_suffix(".json")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        for original, place in files.items():
            shutil.copyfile(original, place)
    except OSError as error:
        raise UserError(f"cannot copy {source} to {copy}: {error.strerror}") from None
    return f"{OPTIMIZERS}/{source.name}"


def _found(folder: Path, text: str) -> str:
    """An optimizer as `contenders.find` takes it, wherever the folder is now."""
    copy = folder / text
    return str(copy.resolve()) if text.startswith(f"{OPTIMIZERS}/") and copy.is_file() else text


def plan(folder: Path) -> BenchConfig:
    """The plan of the benchmark in a folder; copies among its optimizers are full paths.

    Raises:
      UserError: there is none, or it is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        raise UserError(
            f"there is no benchmark in {folder}; start one with `metaopt bench run --out {folder}`"
        )
    try:
        config = from_json(BenchConfig, path.read_text(encoding="utf-8"))
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be used: {error.args[0]}") from None
    return replace(config, optimizers=tuple(_found(folder, text) for text in config.optimizers))


def done(folder: Path, config: BenchConfig) -> list[str]:
    """The tasks that are measured, in the suite's order."""
    return [name for name in config.task_names if is_done(folder, name)]


def is_done(folder: Path, task: str) -> bool:
    """Whether a task is measured."""
    return _path(folder, task).is_file()


def _path(folder: Path, task: str) -> Path:
    return folder / TASKS / f"{task}.npz"


# ---------------------------------------------------------------- what was measured


def write(
    folder: Path, task: str, facts: Facts, measured: Measured, *, config: BenchConfig
) -> None:
    """Keep what was measured on a task, and of which plan it is.

    Args:
      folder: the benchmark's folder.
      task: name of the task.
      facts: what is known of it.
      measured: what was measured.
      config: the plan.

    Raises:
      UserError: the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "facts": np.array(json.dumps(facts._asdict())),
        "plan": np.array(json.dumps(identity(config, task))),
    }
    for (setting, optimizer), trials in measured.items():
        prefix = f"{optimizer}/{setting.schedule}/{setting.length!r}/"
        for name, values in trials.hyperparameters.items():
            arrays[f"{prefix}hyperparameters/{name}"] = values
        for name in Trials._fields[1:]:
            arrays[prefix + name] = getattr(trials, name)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(_path(folder, task), buffer.getvalue())
    shutil.rmtree(unfinished(folder, task), ignore_errors=True)


def unfinished(folder: Path, task: str) -> Path:
    """Where trainings of a task are kept while they are under way."""
    return folder / UNFINISHED / task


def read(
    folder: Path, task: str, config: BenchConfig
) -> tuple[Facts, dict[tuple[Setting, str], Trials]]:
    """What was measured on a task.

    Args:
      folder: the benchmark's folder.
      task: name of the task.
      config: its plan.

    Raises:
      UserError: the file is damaged, or of another plan.
    """
    path = _path(folder, task)
    parts: dict[tuple[Setting, str], dict[str, Any]] = {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            facts = Facts(**json.loads(str(arrays["facts"])))
            kept = json.loads(str(arrays["plan"])) if "plan" in arrays.files else {}
            for key in arrays.files:
                if key in ("facts", "plan"):
                    continue
                optimizer, schedule, length, field, *name = key.split("/")
                part = parts.setdefault((Setting(float(length), schedule), optimizer), {})
                if name:
                    part.setdefault(field, {})[name[0]] = arrays[key]
                else:
                    part[field] = arrays[key]
        measured = {key: Trials(**part) for key, part in parts.items()}
        unplanned = difference(config, task, kept, measured)
    except _DAMAGED as error:
        raise UserError(
            f"{path} is damaged ({error}); delete it and go on with `metaopt bench resume {folder}`"
        ) from None
    if unplanned:
        raise UserError(
            f"{path} is not of the plan in {folder / PLAN}: {unplanned}; move it away and go on "
            f"with `metaopt bench resume {folder}`"
        )
    return facts, measured


def write_costs(folder: Path, costs: Mapping[str, Cost], provenance: Mapping[str, str]) -> None:
    """Keep what the optimizers cost, and on what machine that was measured."""
    content = {"provenance": provenance, "costs": {k: v._asdict() for k, v in costs.items()}}
    write_whole(folder / COSTS, json.dumps(content, indent=2) + "\n")


def merged_costs(sources: Mapping[str, Path]) -> tuple[dict[str, Cost], dict[str, str]]:
    """What optimizers cost according to benchmarks, by name, and on what machines.

    Raises:
      UserError: a file is damaged.
    """
    costs: dict[str, Cost] = {}
    machines: dict[str, dict[str, None]] = {}
    for name, source in sources.items():
        found, provenance = _read_costs(source)
        if name in found:
            costs[name] = found[name]
            for key, value in provenance.items():
                machines.setdefault(key, {})[value] = None
    return costs, {key: "; ".join(values) for key, values in machines.items()}


def _read_costs(folder: Path) -> tuple[dict[str, Cost], dict[str, str]]:
    """The costs that are known, and on what machine they were measured.

    Raises:
      UserError: the file is damaged.
    """
    path = folder / COSTS
    if not path.is_file():
        return {}, {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        costs = {name: Cost(**cost) for name, cost in content["costs"].items()}
        return costs, dict(content["provenance"])
    except _DAMAGED as error:
        raise UserError(
            f"{path} is damaged ({error}); delete it: what optimizers cost is measured anew if "
            "there are tasks left to do, and is left out of tables otherwise"
        ) from None


def results(folder: Path) -> Results:
    """Everything that was measured so far.

    Raises:
      UserError: there is no benchmark, or nothing measured yet, or a file is damaged
        or of another plan.
    """
    config = plan(folder)
    names = done(folder, config)
    if not names:
        raise UserError(f"nothing is measured yet in {folder}: `metaopt bench resume {folder}`")
    files = {name: read(folder, name, config) for name in names}
    costs, provenance = _read_costs(folder)
    planned = {
        key: ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        for key, value in dataclasses.asdict(config).items()
        if key not in ("optimizers", "tasks")
    }
    return Results(
        suite=config.suite,
        optimizers=tuple(name_of(text) for text in config.optimizers),
        settings=config.settings,
        tasks={name: facts for name, (facts, _) in files.items()},
        trials={
            (name, *key): trials
            for name, (_, measured) in files.items()
            for key, trials in measured.items()
        },
        costs=costs,
        provenance=provenance | planned,
    )
