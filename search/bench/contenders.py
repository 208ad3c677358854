"""Optimizers as a benchmark meets them: a factory, and the space that it is tuned over."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import optax

import metaopt
from metaopt.baselines import BASELINES
from metaopt.baselines.baseline import DECADES, Range, tuned
from metaopt.learned import released
from metaopt.learned.checkpoint import SUFFIX, CheckpointError
from metaopt.loading import RULE_SUFFIX
from search.errors import UserError
from search.user_code import run_file

Factory = Callable[..., optax.GradientTransformation]
"""(learning_rate, **hyperparameters) -> transformation; the rate is a number or a schedule, and
every number may be traced."""


@dataclass(frozen=True)
class Contender:
    """An optimizer and how it is tuned.

    Attributes:
      name: how tables call it.
      build: its factory.
      space: ranges of hyperparameters, `learning_rate` first; empty: it takes none, and no learning
        rate either.
      timed: whether its factory takes `num_steps`, the length of the training: not at all, as an
        int, or as a number that may be traced.
    """

    name: str
    build: Factory
    space: Mapping[str, Range]
    timed: Literal["no", "int", "traced"] = "no"

    def optimizer(
        self, learning_rate: optax.ScalarOrSchedule, num_steps: Any, **others: Any
    ) -> optax.GradientTransformationExtraArgs:
        """The optimizer for a training of `num_steps`, which may be None unless it is timed."""
        if self.timed != "no":
            others["num_steps"] = num_steps
        return optax.with_extra_args_support(self.build(learning_rate, **others))


def find(text: str) -> Contender:
    """An optimizer by what a person wrote.

    Args:
      text: the id of a baseline; the name of a rule, a rule file or a campaign's folder; the name
        or the weights (`*.safetensors`) of a learned optimizer; or a Python file that defines a
        function of the file's name, as exported rules do. A name that is a baseline's and a
        rule's is the baseline.

    Raises:
      UserError: there is no such optimizer, or its file cannot be used.
    """
    if text in BASELINES:
        row = BASELINES[text]
        return Contender(
            row.id, row.optimizer, row.tuning, timed="int" if "num_steps" in row.needs else "no"
        )
    if text.endswith(".py"):
        return _from_python(Path(text))
    weights = released.find(text)
    if weights is not None:
        return _learned(weights)
    try:
        _, rate = metaopt.find(text)
    except (KeyError, FileNotFoundError) as error:
        raise UserError(f"{error.args[0]}; a benchmark also takes Python files *.py") from None

    def build(learning_rate: optax.ScalarOrSchedule, **others: Any) -> optax.GradientTransformation:
        return metaopt.load(text, learning_rate=learning_rate, **others)

    return Contender(name_of(text), build, tuned(_highest(rate or 0.01)))


def _learned(path: Path) -> Contender:
    """A learned optimizer, which there is nothing to tune of."""
    try:
        learned, theta = released.read(path)
    except (CheckpointError, FileNotFoundError) as error:
        raise UserError(str(error)) from None

    def build(
        learning_rate: optax.ScalarOrSchedule, num_steps: Any = None
    ) -> optax.GradientTransformation:
        del learning_rate
        return learned.bind(theta, num_steps=num_steps)

    timed = "traced" if "num_steps" in learned.needs else "no"
    return Contender(name_of(str(path)), build, {}, timed)


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
    space = tuned(_highest(float(default) if usable else 0.01))
    return Contender(name, cast(Factory, factory), space)


def _highest(rate: float) -> float:
    """The largest learning rate of a range around one that is known to work."""
    return rate * 10 ** (DECADES / 2)


def name_of(text: str) -> str:
    """The name of the optimizer that a text stands for; nothing is read, so it need not work."""
    path = Path(text)
    return path.stem if path.suffix in (RULE_SUFFIX, SUFFIX, ".py") else path.name


def trials(contender: Contender, count: int, tuning: str) -> dict[str, np.ndarray]:
    """The settings that an optimizer may try, `count` of them: name -> float64 (count,).

    An optimizer without hyperparameters has a single one, and NaN for a learning rate.

    Args:
      contender: the optimizer.
      count: the budget.
      tuning: `grid`, learning rates at equal ratios over their range (a single one is in its
        middle), and defaults for the rest; or `random`, log-uniform draws from the whole space, the
        same for the same optimizer.
    """
    if not contender.space:
        return {"learning_rate": np.array([np.nan])}
    if tuning == "grid":
        low, high = contender.space["learning_rate"]
        if count == 1:  # in the middle; of a range of one, geomspace takes the low end
            return {"learning_rate": np.array([np.sqrt(low * high)])}
        return {"learning_rate": np.geomspace(low, high, count)}
    name = hashlib.sha256(contender.name.encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(name[:8], "little")))
    return {
        name: np.exp(np.log(low) + (np.log(high) - np.log(low)) * generator.random(count))
        for name, (low, high) in contender.space.items()
    }
