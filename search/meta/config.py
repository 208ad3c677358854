"""The configuration of a meta-training."""

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Literal, get_args

import tasks
from search.fields import assert_at_least, assert_types

Method = Literal["pes", "truncated_es", "es_single", "full_es", "backprop"]
Loss = Literal["mean", "end", "lowest", "validation"]
Normalization = Literal["clipped", "relative", "log"]
Delta = Literal["plain", "sign", "unit"]


@dataclass(frozen=True)
class NetworkConfig:
    """The network that is trained; a size of 0 is the network's own default.

    Attributes:
      name: one of `metaopt.learned.NETWORKS`.
      hidden: units of the recurrent network, or of the perceptron where it is the only one.
      layers: hidden layers of the perceptron.
      units: units of its hidden layers, where `hidden` means the recurrent network.
      bank: perceptrons that are mixed.
    """

    name: str = "adafac_mlp"
    hidden: int = 0
    layers: int = 0
    units: int = 0
    bank: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that are not left at their default."""
        given = {name: getattr(self, name) for name in ("hidden", "layers", "units", "bank")}
        return {name: size for name, size in given.items() if size}


@dataclass(frozen=True)
class EstimatorConfig:
    """How the gradient of the meta-loss is estimated; see `search.meta.estimators`.

    Attributes:
      method: `pes`, `truncated_es` and `es_single` go through trainings a truncation at a time and
        differ in what they perturb; `full_es` runs whole trainings; `backprop` differentiates
        through a truncation, which is a whole training where it is as long.
      deviation: of the perturbations of each meta-parameter.
      truncation: inner steps between two meta-updates; lengths of trainings are multiples of it.
      loss: of `full_es`, what is made small: the mean training loss, the loss on fresh batches at
        the end, the lowest training loss, or the loss at the end on the task's validation split.
        All others take the mean.
      fresh: batches that the loss at the end is a mean of.
      normalization: how losses of different tasks are made comparable; see `inner.normalized`.
      floor: of the normalization `log`: ratios to the trivial loss that are much smaller than this
        are all alike.
      delta: what is made of the difference between the two losses of a pair: nothing, its sign, or
        its ratio to the root mean square of its task's.
      rank: of the perturbations of large matrices, see `search.meta.perturb`; 0: full.
    """

    method: Method = "pes"
    deviation: float = 0.01
    truncation: int = 50
    loss: Loss = "mean"
    fresh: int = 10
    normalization: Normalization = "relative"
    floor: float = 0.01
    delta: Delta = "plain"
    rank: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        for name, kind in (
            ("method", Method),
            ("loss", Loss),
            ("normalization", Normalization),
            ("delta", Delta),
        ):
            if getattr(self, name) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        assert_at_least(1, self, "truncation", "fresh")
        assert_at_least(0, self, "rank")
        if not (0 < self.deviation < inf and 0 < self.floor < inf):
            raise ValueError("deviation and floor must be positive")
        if self.method != "full_es" and self.loss != "mean":
            raise ValueError(f"loss {self.loss!r} needs whole trainings: method 'full_es'")


@dataclass(frozen=True)
class CurriculumConfig:
    """What is trained on early and late.

    Attributes:
      shortest: length of a training is log-uniform from here at first,
      longest: to here.
      last_shortest: the same at the end; 0: as at first.
      last_longest: the same at the end; 0: as at first.
      small: fraction of each family's tasks, the cheapest, that are drawn at first.
      steps: meta-updates over which all of these go to their last value, in equal ratios.
      spread: of the scales that parameters are given at random: each training has one for all of
        them and one for each tensor, log-uniform in [1 / spread, spread], each with a chance of
        one half; 1: none.
    """

    shortest: int = 100
    longest: int = 500
    last_shortest: int = 0
    last_longest: int = 0
    small: float = 1.0
    steps: int = 1000
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_at_least(1, self, "shortest", "steps")
        assert_at_least(0, self, "last_shortest", "last_longest")
        for (shortest, longest), when in ((self.first, "first"), (self.last, "the end")):
            if shortest > longest:
                raise ValueError(
                    f"the shortest training must not be longer than the longest: at {when} they "
                    f"have {shortest} and {longest} steps"
                )
        if not 0 < self.small <= 1 or not 1 <= self.spread < inf:
            raise ValueError("small must be in (0, 1], and spread at least 1")

    @property
    def first(self) -> tuple[int, int]:
        """The shortest and the longest length at first."""
        return self.shortest, self.longest

    @property
    def last(self) -> tuple[int, int]:
        """The shortest and the longest length at the end."""
        return self.last_shortest or self.shortest, self.last_longest or self.longest


@dataclass(frozen=True)
class TasksConfig:
    """Which tasks are trained on.

    Attributes:
      suite: name of a suite, or empty.
      per_family: of each family of the suite at most this many, its cheapest; 0: all.
      names: tasks beside those of the suite.
    """

    suite: str = ""
    per_family: int = 0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Reject what nothing may be trained on."""
        assert_types(self)
        assert_at_least(0, self, "per_family")
        members = tasks.steps(self.suite) if self.suite else {}
        if not members and not self.names:
            raise ValueError("tasks: give a suite, or names")
        validation = tasks.steps("validation")
        for name in (*members, *self.names):
            if tasks.is_held_out(name) or name in validation:
                raise ValueError(
                    f"the task {name!r} is held out, or for validation: no optimizer may be "
                    "meta-trained on it; choose tasks of meta_train"
                )


@dataclass(frozen=True)
class OuterConfig:
    """How meta-parameters follow the estimated gradient: Adam.

    Attributes:
      learning_rate: at first.
      last: fraction of the learning rate at the end, to which it falls along half a cosine.
      clip: every entry of a gradient is cut to [-clip, clip]; 0: not cut.
      average: what a meta-training comes to is the moving average of its weights with this decay,
        see `search.meta.outer`; 0: the last weights.
    """

    learning_rate: float = 1e-3
    last: float = 1.0
    clip: float = 3.0
    average: float = 0.0

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_at_least(0, self, "clip", "last")
        if not 0 < self.learning_rate < inf or not isfinite(self.clip + self.last):
            raise ValueError("learning_rate must be positive, and all of them finite")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be at least 0 and below 1, got {self.average}")


@dataclass(frozen=True)
class MetaConfig:
    """A meta-training.

    Attributes:
      network: what is trained.
      estimator: how.
      curriculum: on what, early and late.
      tasks: the tasks.
      outer: how meta-parameters move.
      groups: gradient estimates, each on one task, that a meta-update is a mean of; each is one
        pure call, so at most this many workers are busy.
      particles: trainings of an estimate, each with its own perturbation and, where it has one,
        its antithetic twin.
      keep: meta-updates for which a group keeps its task, where trainings go on from one to the
        next.
      steps: meta-updates in all.
      start: what to begin from: a released optimizer's name, or a file of weights; empty:
        untrained weights.
      validate: meta-updates between evaluations on the suite `validation`; 0: none.
      seed: the same seed gives the same weights on the same software, however it is run.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    tasks: TasksConfig = field(
        default_factory=lambda: TasksConfig(names=("digits_mlp_32_relu_b128",))
    )
    outer: OuterConfig = field(default_factory=OuterConfig)
    groups: int = 2
    particles: int = 8
    keep: int = 50
    steps: int = 1500
    start: str = ""
    validate: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_at_least(1, self, "groups", "particles", "keep", "steps")
        assert_at_least(0, self, "validate", "seed")
        unit, lengths = self.estimator.truncation, (self.curriculum.first, self.curriculum.last)
        shortest = min(length for length, _ in lengths)
        if shortest < unit:
            raise ValueError(
                f"lengths are multiples of the truncation, {unit} steps, so none of {shortest} can "
                "be had: lengthen curriculum.shortest, or shorten estimator.truncation"
            )
        longest, least = max(length for _, length in lengths), self.keep * unit
        if self.estimator.method != "full_es" and longest > least:
            raise ValueError(
                f"trainings of {longest} steps would never end, since a group keeps its task for "
                f"{least}: set keep to at least {-(-longest // unit)}, or shorten the longest"
            )
