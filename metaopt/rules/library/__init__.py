"""Known update rules, as rule files."""

import difflib
from functools import cache
from importlib import resources

from metaopt.rules.parse import parse
from metaopt.rules.program import Program

_SUFFIX = ".rule"


@cache
def names() -> tuple[str, ...]:
    """The names of the rules in the library, sorted."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


@cache
def get(name: str) -> Program:
    """A rule of the library.

    Raises:
      KeyError: there is no rule of that name.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names())}"
        raise KeyError(f"no rule {name!r} in the library; {hint}")
    file = resources.files(__name__) / (name + _SUFFIX)
    return parse(file.read_text(encoding="utf-8"), name + _SUFFIX)
