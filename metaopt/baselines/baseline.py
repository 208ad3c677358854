"""What is known of a baseline: one row of the table `BASELINES`."""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import optax

Kind = Literal["transform", "wrapper", "schedule"]
"""How a factory is called, and what it returns.

- transform: `factory(learning_rate, ...)`, an optimizer.
- wrapper: `factory(inner, ...)`, an optimizer around another one.
- schedule: `factory(learning_rate, ...)`, a function of the step.
"""

Group = Literal[
    "first_order",
    "sign",
    "adaptive",
    "matrix_preconditioned",
    "memory_efficient",
    "quantized",
    "step_size_free",
    "wrapper",
    "weight_decay",
    "clipping",
    "scaling_rule",
    "schedule",
    "riemannian",
    "variational",
    "games",
    "distributed",
]
"""Families of methods; each has the folder of its name."""

Need = Literal["params", "value", "seed", "num_steps", "roles", "matrix_axes", "manifold"]
"""What a method takes besides gradients.

- params: the current parameters, as the third argument of `update`.
- value: the loss, as the extra argument `value` of `update`.
- seed: draws random numbers; the factory takes `seed`.
- num_steps: the length of the training; the factory takes `num_steps`.
- roles: what each parameter is in its network; the factory takes `roles`.
- matrix_axes: which axes are rows and columns; the factory takes `matrix_axes`.
- manifold: the set that each parameter lies on; the factory takes `manifold`.
"""

DECADES = 3.5
"""Every method's learning rates span so many decades: equal budgets, equal distances."""


class Range(NamedTuple):
    """What a hyperparameter is drawn from, log-uniformly."""

    low: float
    high: float


def tuned(highest: float, **others: tuple[float, float]) -> Mapping[str, Range]:
    """The space that a method is tuned over.

    Args:
      highest: the largest learning rate; the smallest is `DECADES` below.
      **others: ranges of further hyperparameters, (low, high).
    """
    space = {"learning_rate": Range(highest / 10**DECADES, highest)}
    return MappingProxyType(space | {name: Range(*bounds) for name, bounds in others.items()})


def _adam(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformationExtraArgs:
    return optax.adam(learning_rate)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One method of the literature.

    Attributes:
      id: its name in code and on the command line: `metaopt.baselines.<id>`.
      name: its name in print.
      factory: what makes it; Optax's own function where that is right.
      kind: how the factory is called.
      group: the family it belongs to.
      title: of the publication.
      authors: of the publication: all of up to three, else the first and "et al.".
      year: of the publication.
      arxiv: its arXiv id, such as `1412.6980`.
      link: where to find it if it has no arXiv id: a DOI, or an address without `https://`.
      needs: what it takes besides gradients.
      test: hyperparameters with which tests run it: periods, ranks and warm-ups short enough for
        everything to happen within five steps of a small tree.
      test_rate: a learning rate at which its loss falls on a small quadratic.
      bench: hyperparameters for benchmarks, tables and tests, where the defaults are for settings
        that are none of those: the whole data at each step, a game, a long training.
      inner: a wrapper's inner optimizer in tests, benchmarks and tables, given a learning rate.
      tuning: ranges that a benchmark tunes over.
      matrix_bytes: (m, n) -> bytes of state that the publication promises for one float32 matrix
        of m rows and n columns; of low-memory methods only. A test holds the state to it.
      equations: what the method computes; where the factory is ours, its docstring says it and
        this stays empty (see `equations_of`).
      deviations: how the factory departs from the publication; empty if it does not.
      checked: the independent implementations whose trajectories it follows step by step, as
        `library version`; or `equations`, a reading of the publication in numpy.
    """

    id: str
    name: str
    factory: Callable[..., Any]
    kind: Kind = "transform"
    group: Group
    title: str
    authors: str
    year: int
    arxiv: str = ""
    link: str = ""
    needs: tuple[Need, ...] = ()
    test: Mapping[str, Any] = field(default_factory=dict)
    test_rate: float = 0.01
    bench: Mapping[str, Any] = field(default_factory=dict)
    inner: Callable[[optax.ScalarOrSchedule], optax.GradientTransformation] = _adam
    tuning: Mapping[str, Range]
    matrix_bytes: Callable[[int, int], float] | None = None
    equations: str = ""
    deviations: str = ""
    checked: tuple[str, ...]

    def optimizer(
        self,
        learning_rate: optax.ScalarOrSchedule,
        *,
        num_steps: int | None = None,
        **hyperparameters: Any,
    ) -> optax.GradientTransformationExtraArgs:
        """The method as something to train with, whatever its kind.

        Args:
          learning_rate: a number, a scalar array or an Optax schedule.
          num_steps: the length of the training, for methods that need it.
          **hyperparameters: the factory's own, in place of `bench` and of its defaults.

        Returns:
          A transform itself; a wrapper around `inner`; a schedule as that of SGD with momentum 0.9.
        """
        hyperparameters = {**self.bench, **hyperparameters}
        if "num_steps" in self.needs:
            hyperparameters = {"num_steps": num_steps, **hyperparameters}
        if self.kind == "wrapper":
            made = self.factory(self.inner(learning_rate), **hyperparameters)
        elif self.kind == "schedule":
            made = optax.sgd(self.factory(learning_rate, **hyperparameters), momentum=0.9)
        else:
            made = self.factory(learning_rate, **hyperparameters)
        return optax.with_extra_args_support(made)

    @property
    def source(self) -> str:
        """Where the publication is found: `arXiv:1412.6980`, or its DOI or address."""
        return f"arXiv:{self.arxiv}" if self.arxiv else self.link


def equations_of(row: Baseline) -> str:
    """What a method computes: the row's own equations, or those of the factory's docstring.

    Those are all that it says between its summary and `Args:`, since what a symbol means is said
    before or after the equations, an indented block.
    """
    if row.equations:
        return textwrap.dedent(row.equations).strip("\n")
    text = inspect.getdoc(row.factory) or ""
    description = re.split(r"^(?:Args|Returns|Example):", text, maxsplit=1, flags=re.MULTILINE)[0]
    if not re.search(r"^ {2,}\S", description, flags=re.MULTILINE):
        return ""
    return textwrap.dedent(description.partition("\n\n")[2].strip("\n")).rstrip()


def arguments_of(row: Baseline) -> str:
    """A factory's arguments and their defaults, without types: `(learning_rate, *, b1=0.9)`."""
    signature = inspect.signature(row.factory)
    bare = [
        p.replace(annotation=p.empty, default=_shown(p.default))
        for p in signature.parameters.values()
    ]
    return str(inspect.Signature(bare))


class _Name(str):
    """A text that shows itself without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _shown(default: Any) -> Any:
    """A default as it reads best: functions by their names."""
    if callable(default) and default is not inspect.Parameter.empty:
        return _Name(getattr(default, "__name__", type(default).__name__))
    if " at 0x" in repr(default):  # a tuple of functions
        return _Name(f"{type(default).__name__}(...)")
    return default
