"""Campaign files: Python with one `CONFIG = SearchConfig(...)`."""

import dataclasses
import difflib
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

import tasks
from metaopt.rules.mutate import MutationWeights
from metaopt.rules.parse import RuleError
from search.config import (
    EvolutionConfig,
    FunnelStage,
    SearchConfig,
    VerdictConfig,
    from_json,
    to_json,
)
from search.errors import UserError
from search.evaluate import TrainingConfig
from search.evolve import layout_of
from search.user_code import run_file

_KINDS = {
    kind.__name__: kind
    for kind in (
        SearchConfig,
        EvolutionConfig,
        FunnelStage,
        MutationWeights,
        TrainingConfig,
        VerdictConfig,
    )
}
_UNKNOWN_KEY = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
_EXAMPLE = "CONFIG = SearchConfig(...), with `from search.config import SearchConfig`"


def load(path: str | Path) -> SearchConfig:
    """Run a campaign file, which is the user's own code, and take its `CONFIG`.

    Raises:
      UserError: there is no such file, it fails, or its `CONFIG` cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no campaign file {path}; write one that says {_EXAMPLE}")
    try:
        module = run_file(path)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{_place(path, error)}: {_what(error)}") from None
    if not hasattr(module, "CONFIG"):
        near = difflib.get_close_matches("CONFIG", vars(module), n=1)
        found = f" (but {near[0]!r})" if near else ""
        raise UserError(f"{path} has no CONFIG{found}; it must say {_EXAMPLE}")
    found = module.CONFIG
    if not isinstance(found, SearchConfig):
        raise UserError(
            f"CONFIG in {path} is a {type(found).__name__}; it must be a SearchConfig: {_EXAMPLE}"
        )
    return checked(found, str(path))


def checked(config: SearchConfig, where: str) -> SearchConfig:
    """A configuration that can be run, its lists turned into tuples.

    Raises:
      UserError: a value of the wrong type, or a name that there is none of.
    """
    try:
        config = from_json(SearchConfig, to_json(config))
        layout_of(config)
        for name in (*config.verdict.tasks, *_funnel_tasks(config)):
            tasks.get(name)
    except RuleError as error:
        raise UserError(f"{where}: start is not a rule: {error}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{where}: {message(error)}") from None
    return config


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


def _what(error: BaseException) -> str:
    unknown = _UNKNOWN_KEY.search(str(error))
    if isinstance(error, TypeError) and unknown and unknown[1] in _KINDS:
        kind, key = unknown.groups()
        names = [field.name for field in dataclasses.fields(_KINDS[kind])]
        near = difflib.get_close_matches(key, names, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
        return f"{kind} has no key {key!r}; {advice}"
    if isinstance(error, SyntaxError):
        return f"not valid Python: {error.msg}"
    if isinstance(error, (ValueError, KeyError)):
        return message(error)
    return f"{type(error).__name__}: {message(error)}"
