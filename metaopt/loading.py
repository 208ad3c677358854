"""`load`: any optimizer by its name, from a file, or from a campaign.

A name stands for a released rule, a known rule, a learned optimizer, or a baseline, whichever is
found first; a rule and a baseline of the same name are the same method. A known name comes before a
file or folder that is called the same: `lion` is the rule, `./lion` the folder.
"""

import difflib
import inspect
import json
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import optax

from metaopt.baselines import BASELINES
from metaopt.learned import released
from metaopt.learned.checkpoint import SUFFIX as WEIGHTS_SUFFIX
from metaopt.rules import library
from metaopt.rules.parse import parse, read
from metaopt.rules.program import Program
from metaopt.rules.transform import transform, ungathered

RULE_SUFFIX = ".rule"
WINNER = "winner.rule"
"""In a campaign's folder: the rule that won it."""
BEST = "best.rule"
"""In a campaign's folder: the best rule so far."""
_META = "meta.sqlite"
"""In the folder of a meta-training: what it is kept in."""

_RATE = re.compile(r"# learning_rate = (\d+(?:\.\d+)?(?:e[+-]?\d+)?)\n")
"""How a campaign's rule file begins if its rule was found with a learning rate other than 1."""


def load(
    name_or_path: str | Path,
    learning_rate: optax.ScalarOrSchedule | None = None,
    **hyperparameters: Any,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer, ready for any Optax training loop.

    Args:
      name_or_path: the name of a rule, a learned optimizer or a baseline (`names()` lists them); a
        rule file, or the weights of a learned optimizer, `*.safetensors`; or the folder of a
        campaign, which stands for its winner, or for its best rule so far. A known name is never
        taken for a file or folder of that name: write `./lion`, or pass a `Path`, for those.
      learning_rate: a number, a scalar array, or an Optax schedule. Released rules have a default,
        which their cards state; a campaign's rules have the one that they were found with, which is
        1 unless the campaign searched over several; learned optimizers take none.
      **hyperparameters: values for the rule's or the baseline's own hyperparameters, instead of
        their defaults. A learned optimizer takes `num_steps`, the length of the training, and
        `compact`, see `metaopt.learned.optimizer.Bind`.

    Returns:
      The transformation: `init(params)`, then `update(gradients, state, params)`.

    Raises:
      KeyError: no such name; the message names near matches.
      FileNotFoundError: a path where there is nothing.
      RuleError: the file is not a valid rule.
      CheckpointError: the weights are damaged, or not of this version.
      TypeError: no learning rate where there is no default, or one where none is taken; an unknown
        or missing hyperparameter; or a baseline that is no optimizer by itself.

    Example:
      >>> import metaopt
      >>> optimizer = metaopt.load("lion", learning_rate=1e-3, weight_decay=0.1)
      >>> state = optimizer.init({"kernel": 1.0})
      >>> updates, state = optimizer.update({"kernel": 2.0}, state, {"kernel": 1.0})
    """
    given = ungathered(hyperparameters)
    name = _as_name(name_or_path)
    weights = released.find(name or Path(name_or_path).absolute())
    if weights is not None and name not in rule_names():
        return _learned(str(name_or_path), weights, learning_rate, given)
    if name in BASELINES and name not in rule_names():
        return _baseline(name, learning_rate, given)
    program, default = find(name_or_path)
    learning_rate = default if learning_rate is None else learning_rate
    if learning_rate is None:
        raise _no_rate(program.name)
    return transform(program, learning_rate, **given)


def _as_name(name_or_path: str | Path) -> str:
    """The text, if it may be a name; "" for a `Path` to something that there is."""
    there = isinstance(name_or_path, Path) and name_or_path.exists()
    return "" if there else str(name_or_path)


def _baseline(
    name: str, learning_rate: Any, given: dict[str, Any]
) -> optax.GradientTransformationExtraArgs:
    row = BASELINES[name]
    if row.kind != "transform":
        raise TypeError(
            f"{name!r} is a {row.kind}, not an optimizer by itself: call "
            f"metaopt.baselines.{name}, which says what it takes"
        )
    if learning_rate is None:
        raise _no_rate(name)
    own = dict(list(inspect.signature(row.factory).parameters.items())[1:])
    for key in given:
        if key not in own:
            advice = _near(key, tuple(own)) or f"it has {', '.join(own) or 'none'}"
            raise TypeError(f"{name!r} has no hyperparameter {key!r}; {advice}")
    for key, parameter in own.items():
        if parameter.default is parameter.empty and key not in given:
            raise TypeError(f"{name!r} needs {key}: pass {key}=...; see `metaopt.baselines.{name}`")
    return optax.with_extra_args_support(row.factory(learning_rate, **given))


def _learned(
    name: str, weights: Path, learning_rate: Any, given: dict[str, Any]
) -> optax.GradientTransformationExtraArgs:
    if learning_rate is not None:
        raise TypeError(
            f"{name!r} is a learned optimizer: it needs no learning_rate and takes none"
        )
    known = ("num_steps", "compact")
    for key in given:
        if key not in known:
            raise TypeError(
                f"{name!r} has no {key!r}; a learned optimizer has {' and '.join(known)}"
            )
    return released.bound(weights, **given)


def _no_rate(name: str) -> TypeError:
    return TypeError(
        f"{name!r} has no default learning rate: pass learning_rate=..., a number or an Optax "
        "schedule"
    )


def names() -> tuple[str, ...]:
    """The names that `load` knows: rules, learned optimizers, and baselines that are optimizers."""
    own = (row.id for row in BASELINES.values() if row.kind == "transform")
    return tuple(sorted({*rule_names(), *released.names(), *own}))


def rule_names() -> tuple[str, ...]:
    """The names of rules: the library's and the released ones."""
    return tuple(sorted({*library.names(), *_released()}))


def find(name_or_path: str | Path) -> tuple[Program, float | None]:
    """The rule that a name or a path stands for, and its default learning rate if it has one.

    A known name comes first: `lion` is the rule also where there is a folder `lion`, which is
    reached as `./lion`.

    Raises:
      KeyError: no rule has that name; the message names near matches.
      FileNotFoundError: a path where there is nothing.
      RuleError: the file is not a valid rule.
    """
    name, path = _as_name(name_or_path), Path(name_or_path)
    if is_name(name_or_path):
        return named(name)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix == RULE_SUFFIX or path.parent != Path() or path.is_file():
        if not path.is_file():
            raise FileNotFoundError(f"there is no rule file {path}")
        return read(path), None
    return named(name)


def is_name(name_or_path: str | Path) -> bool:
    """Whether it stands for something known by name, not for a file or a folder."""
    return _as_name(name_or_path) in names()


def named(name: str) -> tuple[Program, float | None]:
    """The known rule of a name, and its default learning rate if it has one.

    Raises:
      KeyError: no rule has that name; the message names near matches.
    """
    rules = _released()
    if name in rules:
        text = rules[name].read_text(encoding="utf-8")
        return parse(text, name + RULE_SUFFIX), card(name)["learning_rate"]
    if name in library.names():
        return library.get(name), None
    if name in names():
        here = f"; a file or folder of that name is ./{name}" if Path(name).exists() else ""
        raise KeyError(f"{name!r} is an optimizer, but no rule; metaopt.load takes it{here}")
    own = ", ".join((*rule_names(), *released.names()))
    advice = _near(name, names()) or f"known: {own}, and the baselines of `metaopt baselines list`"
    raise KeyError(
        f"no optimizer {name!r}; {advice} (a rule file's name ends in {RULE_SUFFIX}, that of "
        f"weights in {WEIGHTS_SUFFIX})"
    )


def _of_folder(folder: Path) -> tuple[Program, float]:
    """The rule that a campaign's folder stands for, and the learning rate it was found with."""
    for filename in (WINNER, BEST):
        file = folder / filename
        if file.exists():
            program, rate = read(file), _RATE.match(file.read_text(encoding="utf-8"))
            return program, float(rate[1]) if rate else 1.0
    raise FileNotFoundError(
        no_campaign(folder) or f"{folder} holds neither {WINNER} nor {BEST}: is it a campaign?"
    )


def no_campaign(folder: str | Path) -> str:
    """What to say of the folder of a meta-training; "" for any other."""
    if not (Path(folder) / _META).exists():
        return ""
    return (
        f"{folder} is a meta-training, not a campaign; write its weights with `metaopt meta-train "
        f"export {folder} -o NAME.safetensors`, and give that file"
    )


def with_rate(rule: str, learning_rate: float) -> str:
    """The text of a rule as a campaign's folder keeps it, its learning rate in front if not 1."""
    return rule if learning_rate == 1.0 else f"# learning_rate = {learning_rate!r}\n{rule}"


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else ""


def card(name: str) -> dict[str, Any]:
    """What is recorded of a released rule or learned optimizer: where it came from, how it scores.

    Raises:
      KeyError: nothing of that name is released.
    """
    if name in released.names():
        return released.card(name)
    if name not in _released():
        known = (*_released(), *released.names())
        advice = _near(name, known) or f"there are {', '.join(known)}"
        raise KeyError(f"nothing is released as {name!r}; {advice}")
    return json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))


@cache
def _released() -> dict[str, Traversable]:
    """The released rules' files by name."""
    folder = _folder()
    if not folder.is_dir():
        return {}
    files = (f for f in folder.iterdir() if f.name.endswith(RULE_SUFFIX))
    return {f.name.removesuffix(RULE_SUFFIX): f for f in sorted(files, key=lambda f: f.name)}


def _folder() -> Traversable:
    """Where released rules lie: inside the installed package, or at the root of a checkout."""
    installed = resources.files("metaopt") / "checkpoints"
    checkout = Path(__file__).parents[1] / "checkpoints"
    return (installed if installed.is_dir() else checkout) / "rules"
