"""`load`: any optimizer by its name, from a file, or from a campaign.

A name stands for a released rule, a known rule, a learned optimizer, or a baseline, whichever is
found first.
"""

import difflib
import json
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
from metaopt.rules.transform import transform

RULE_SUFFIX = ".rule"
WINNER = "winner.rule"
"""In a campaign's folder: the rule that won it."""
BEST = "best.rule"
"""In a campaign's folder: the best rule so far."""


def load(
    name_or_path: str | Path,
    learning_rate: optax.ScalarOrSchedule | None = None,
    **hyperparameters: Any,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer, ready for any Optax training loop.

    Args:
      name_or_path: the name of a rule, a learned optimizer or a baseline (`names()` lists them); a
        rule file, or the weights of a learned optimizer, `*.safetensors`; or the folder of a
        campaign, which stands for its winner, or for its best rule so far.
      learning_rate: a number, a scalar array, or an Optax schedule. Released rules have a default,
        which their cards state; a campaign's rules, which carry their own scale, have 1; learned
        optimizers take none.
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
    name = str(name_or_path)
    weights = released.find(name_or_path)
    if weights is not None and name not in rule_names():
        return _learned(name, weights, learning_rate, hyperparameters)
    if name in BASELINES and name not in rule_names() and not Path(name).exists():
        row = BASELINES[name]
        if row.kind != "transform":
            raise TypeError(
                f"{name!r} is a {row.kind}, not an optimizer by itself: call "
                f"metaopt.baselines.{name}, which says what it takes"
            )
        if learning_rate is None:
            raise _no_rate(name)
        return optax.with_extra_args_support(row.factory(learning_rate, **hyperparameters))
    program, default = find(name_or_path)
    learning_rate = default if learning_rate is None else learning_rate
    if learning_rate is None:
        raise _no_rate(program.name)
    return transform(program, learning_rate, **hyperparameters)


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

    Raises:
      KeyError: no rule has that name; the message names near matches.
      FileNotFoundError: a path where there is nothing.
      RuleError: the file is not a valid rule.
    """
    path = Path(name_or_path)
    if path.is_dir():
        for filename in (WINNER, BEST):
            if (path / filename).exists():
                return read(path / filename), 1.0
        raise FileNotFoundError(f"{path} holds neither {WINNER} nor {BEST}: is it a campaign?")
    if path.suffix == RULE_SUFFIX or path.parent != Path() or path.is_file():
        if not path.is_file():
            raise FileNotFoundError(f"there is no rule file {path}")
        return read(path), None
    name = str(name_or_path)
    rules = _released()
    if name in rules:
        text = rules[name].read_text(encoding="utf-8")
        return parse(text, name + RULE_SUFFIX), card(name)["learning_rate"]
    if name in library.names():
        return library.get(name), None
    if name in names():
        raise KeyError(f"{name!r} is an optimizer, but no rule; metaopt.load takes it")
    own = ", ".join((*rule_names(), *released.names()))
    advice = _near(name, names()) or f"known: {own}, and the baselines of `metaopt baselines list`"
    raise KeyError(
        f"no optimizer {name!r}; {advice} (a rule file's name ends in {RULE_SUFFIX}, that of "
        f"weights in {WEIGHTS_SUFFIX})"
    )


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
