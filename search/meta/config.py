"""The configuration of a meta-training."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import tasks

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
        for name, kind in (
            ("method", Method),
            ("loss", Loss),
            ("normalization", Normalization),
            ("delta", Delta),
        ):
            if getattr(self, name) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        if self.truncation < 1 or self.fresh < 1 or not (self.deviation > 0 and self.floor > 0):
            raise ValueError("truncation, fresh, deviation and floor must be positive")
        if self.rank < 0:
            raise ValueError(f"rank must be at least 0, got {self.rank}")
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
        if not 1 <= self.shortest <= self.longest:
            raise ValueError("shortest must be at least 1 and at most longest")
        if self.last_longest and not 1 <= self.last_shortest <= self.last_longest:
            raise ValueError("last_shortest must be at least 1 and at most last_longest")
        if not 0 < self.small <= 1 or self.steps < 1 or self.spread < 1:
            raise ValueError("small must be in (0, 1], steps and spread at least 1")


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
    names: tuple[str, ...] = ("digits_mlp_32_relu_b128",)

    def __post_init__(self) -> None:
        """Reject what nothing may be trained on."""
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
    tasks: TasksConfig = field(default_factory=TasksConfig)
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
        for name in ("groups", "particles", "keep", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.validate < 0:
            raise ValueError(f"validate must not be negative, got {self.validate}")
