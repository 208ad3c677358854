"""Configuration files: Python with one `CONFIG`, such as `CONFIG = SearchConfig(...)`."""

import dataclasses
import difflib
import re
import traceback
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import tasks
from metaopt.rules.parse import RuleError
from search.config import SearchConfig, from_json, to_json
from search.errors import UserError
from search.evolve import layout_of, start_program
from search.user_code import run_file

T = TypeVar("T")

_UNKNOWN_KEY = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def load(path: str | Path) -> SearchConfig:
    """Run a campaign file, which is the user's own code, and take its `CONFIG`.

    Raises:
      UserError: there is no such file, it fails, or its `CONFIG` cannot be used.
    """
    return checked(taken(path, SearchConfig, "campaign"), str(path))


def taken(path: str | Path, kind: type[T], noun: str) -> T:
    """Run a file, which is the user's own code, and take its `CONFIG`.

    Args:
      path: the file.
      kind: what its `CONFIG` must be, a dataclass.
      noun: what it configures.

    Raises:
      UserError: there is no such file, it fails, or its `CONFIG` is something else.
    """
    path = Path(path)
    example = f"CONFIG = {kind.__name__}(...), with `from {kind.__module__} import {kind.__name__}`"
    if not path.is_file():
        raise UserError(f"there is no {noun} file {path}; write one that says {example}")
    try:
        module = run_file(path)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{_place(path, error)}: {_what(error, kind)}") from None
    if not hasattr(module, "CONFIG"):
        near = difflib.get_close_matches("CONFIG", vars(module), n=1)
        found = f" (but {near[0]!r})" if near else ""
        raise UserError(f"{path} has no CONFIG{found}; it must say {example}")
    found = module.CONFIG
    if not isinstance(found, kind):
        raise UserError(
            f"CONFIG in {path} is a {type(found).__name__}; it must be a {kind.__name__}: {example}"
        )
    return found


def changed(config: T, **changes: Any) -> T:
    """A configuration with what was given on the command line in place of its own.

    Args:
      config: a dataclass.
      changes: by field; None leaves it.

    Raises:
      UserError: it cannot be run so.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        return dataclasses.replace(config, **given)  # type: ignore[type-var]
    except ValueError as error:
        raise UserError(f"--{error}") from None


def checked(config: SearchConfig, where: str) -> SearchConfig:
    """A configuration that can be run, its lists turned into tuples.

    Raises:
      UserError: a value of the wrong type, or a name that there is none of.
    """
    try:
        config = from_json(SearchConfig, to_json(config))
        layout_of(config)
        _assert_room(config)
        for name in (*config.verdict.tasks, *_funnel_tasks(config)):
            tasks.get(name)
    except RuleError as error:
        raise UserError(f"{where}: start is not a rule: {error}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{where}: {message(error)}") from None
    return config


def _assert_room(config: SearchConfig) -> None:
    least = len(start_program(config).body)
    if config.capacity < least:
        raise ValueError(
            f"capacity must be at least {least}, the number of statements of the start program, "
            f"got {config.capacity}"
        )


def message(error: BaseException) -> str:
    """An error's message; `str` of a KeyError would put it in quotation marks."""
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error)


def _funnel_tasks(config: SearchConfig) -> Iterable[str]:
    return (name for stage in config.funnel for name in stage.training.tasks)


def _place(path: Path, error: BaseException) -> str:
    """The file and, where known, the line of it that failed."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path.absolute() or frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _what(error: BaseException, kind: type) -> str:
    """What went wrong in a file that makes a `kind`."""
    unknown = _UNKNOWN_KEY.search(str(error))
    kinds = {part.__name__: part for part in _parts(kind)}
    if isinstance(error, TypeError) and unknown and unknown[1] in kinds:
        name, key = unknown.groups()
        names = [field.name for field in dataclasses.fields(kinds[name])]
        near = difflib.get_close_matches(key, names, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
        return f"{name} has no key {key!r}; {advice}"
    if isinstance(error, SyntaxError):
        return f"not valid Python: {error.msg}"
    if isinstance(error, (ValueError, KeyError)):
        return message(error)
    return f"{type(error).__name__}: {message(error)}"


def _parts(kind: Any) -> Iterator[Any]:
    """The dataclasses that a configuration is made of, itself among them."""
    if dataclasses.is_dataclass(kind):
        yield kind
        for hint in typing.get_type_hints(kind).values():
            yield from _parts(hint)
    for argument in typing.get_args(kind):
        yield from _parts(argument)
