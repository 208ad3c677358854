"""Optimizers as a benchmark meets them: a factory, and the space that it is tuned over."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import optax

import metaopt
from metaopt.loading import RULE_SUFFIX
from search.errors import UserError
from search.user_code import run_file

Factory = Callable[..., optax.GradientTransformation]
"""(learning_rate, **hyperparameters) -> transformation; the rate is a number or a schedule, and
every number may be traced."""

DECADES = 3.5
"""Every optimizer's learning rates span so many decades: equal budgets, equal distances."""


class Range(NamedTuple):
    """What a hyperparameter is drawn from, log-uniformly."""

    low: float
    high: float


@dataclass(frozen=True)
class Contender:
    """An optimizer and how it is tuned.

    Attributes:
      name: how tables call it.
      build: its factory.
      space: ranges of hyperparameters, `learning_rate` first.
    """

    name: str
    build: Factory
    space: Mapping[str, Range]


def _rates(highest: float, **others: tuple[float, float]) -> dict[str, Range]:
    space = {"learning_rate": Range(highest / 10**DECADES, highest)}
    return space | {name: Range(*bounds) for name, bounds in others.items()}


def adam_l2(
    learning_rate: optax.ScalarOrSchedule, weight_decay: Any = 0.01
) -> optax.GradientTransformation:
    """Adam on the loss plus weight_decay / 2 |w|^2: the decay passes the preconditioner."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))


def _momentum(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum=0.9)


def _nesterov(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum=0.9, nesterov=True)


def _rmsprop(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.rmsprop(learning_rate, decay=0.99)


_DECAY = (1e-4, 1.0)

CONTENDERS: Mapping[str, Contender] = {
    c.name: c
    for c in (
        Contender("adamw", optax.adamw, _rates(0.3, weight_decay=_DECAY)),
        Contender("adam", optax.adam, _rates(0.3)),
        Contender("adam_l2", adam_l2, _rates(0.3, weight_decay=_DECAY)),
        Contender("lion", optax.lion, _rates(0.1, weight_decay=_DECAY)),
        Contender("sgd", optax.sgd, _rates(10.0)),
        Contender("momentum", _momentum, _rates(3.0)),
        Contender("nesterov", _nesterov, _rates(3.0)),
        Contender("rmsprop", _rmsprop, _rates(0.3)),
        Contender("adagrad", optax.adagrad, _rates(3.0)),
    )
}
"""The optimizers that are known by name, with Optax's defaults; momentum is 0.9."""


def find(text: str) -> Contender:
    """An optimizer by what a person wrote.

    Args:
      text: a name of `CONTENDERS` or of `metaopt.names()`; a rule file or a campaign's folder; or a
        Python file that defines a function of the file's name, as exported rules do.

    Raises:
      UserError: there is no such optimizer, or its file cannot be used.
    """
    if text in CONTENDERS:
        return CONTENDERS[text]
    if text.endswith(".py"):
        return _from_python(Path(text))
    try:
        _, rate = metaopt.find(text)
    except (KeyError, FileNotFoundError) as error:
        known = ", ".join(CONTENDERS)
        raise UserError(
            f"{error.args[0]}; a benchmark also knows {known}, and files *.py"
        ) from None

    def build(learning_rate: optax.ScalarOrSchedule, **others: Any) -> optax.GradientTransformation:
        return metaopt.load(text, learning_rate=learning_rate, **others)

    return Contender(_stem(text), build, _around(rate or 0.01))


def _from_python(path: Path) -> Contender:
    """The function that a Python file of the user's names after itself."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    name = path.stem
    try:
        module = run_file(path)
    except Exception as error:
        raise UserError(f"{path} fails: {type(error).__name__}: {error}") from None
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UserError(f"{path} must define a function {name}(learning_rate, ...), as exports do")
    parameters = inspect.signature(factory).parameters
    if next(iter(parameters), None) != "learning_rate":
        raise UserError(f"{path}: the first argument of {name} must be learning_rate")
    default = parameters["learning_rate"].default
    usable = isinstance(default, (int, float)) and default > 0
    rates = _around(float(default) if usable else 0.01)
    return Contender(name, cast(Factory, factory), rates)


def _around(rate: float) -> Mapping[str, Range]:
    """Learning rates around one that is known to work."""
    return _rates(rate * 10 ** (DECADES / 2))


def _stem(text: str) -> str:
    path = Path(text)
    return path.stem if path.suffix == RULE_SUFFIX else path.name


def trials(contender: Contender, count: int, tuning: str) -> dict[str, np.ndarray]:
    """The settings that an optimizer may try, `count` of them: name -> float64 (count,).

    Args:
      contender: the optimizer.
      count: the budget.
      tuning: `grid`, learning rates at equal ratios over their range, and defaults for the rest; or
        `random`, log-uniform draws from the whole space, the same for the same optimizer.
    """
    if tuning == "grid":
        low, high = contender.space["learning_rate"]
        return {"learning_rate": np.geomspace(low, high, count)}
    name = hashlib.sha256(contender.name.encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(name[:8], "little")))
    return {
        name: np.exp(np.log(low) + (np.log(high) - np.log(low)) * generator.random(count))
        for name, (low, high) in contender.space.items()
    }
