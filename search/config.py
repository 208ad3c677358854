"""The configuration of a campaign: frozen dataclasses, and their JSON form in the store."""

import dataclasses
import difflib
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

import tasks
from metaopt.rules.mutate import MutationWeights
from search.evaluate import TrainingConfig
from search.fields import assert_at_least, assert_rates, assert_types, fits

T = typing.TypeVar("T")
Method = Literal["evolution", "hyperparameters", "random"]


@dataclass(frozen=True)
class EvolutionConfig:
    """Regularized evolution on one island (Real et al., arXiv 1802.01548).

    Attributes:
      method: `evolution`; or, to compare it with, `hyperparameters` (only constants mutate) or
        `random` (each candidate is the start program after 1 to 16 random mutations).
      population: individuals on an island; all are the start program at first.
      tournament: a parent is the fittest of this many, drawn with replacement.
      children: mutants drawn a cycle; they replace the oldest individuals.
      evaluations: at most this many unseen mutants are trained a cycle; the mutants after the last
        of them are not born.
      cycles: cycles a round; rounds are what is committed and what migration happens between.
      mutation: relative frequencies of the kinds of mutation.
      migrants: individuals that each island sends to the next one after a round.
      patience: rounds without a better candidate after which an island starts anew.
      fresh_starts: this many of an island's restarts begin at the start program, later ones at the
        best program of the campaign.
    """

    method: Method = "evolution"
    population: int = 500
    tournament: int = 2
    children: int = 256
    evaluations: int = 64
    cycles: int = 2
    mutation: MutationWeights = field(default_factory=MutationWeights)
    migrants: int = 10
    patience: int = 20
    fresh_starts: int = 1

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        if self.method not in typing.get_args(Method):
            choices = ", ".join(typing.get_args(Method))
            raise ValueError(f"method must be one of {choices}, got {self.method!r}")
        counts = ("population", "tournament", "children", "evaluations", "cycles", "patience")
        assert_at_least(1, self, *counts)
        if self.children > self.population or not 0 <= self.migrants <= self.population:
            raise ValueError("children and migrants must not outnumber the population")


@dataclass(frozen=True)
class FunnelStage:
    """One stage after the search: train the best candidates again, keep the best of them.

    Attributes:
      training: a longer, larger or repeated training than the one before.
      candidates: how many enter, the best by the stage before.
    """

    training: TrainingConfig
    candidates: int

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_at_least(1, self, "candidates")


@dataclass(frozen=True)
class VerdictConfig:
    """How the winner is compared with AdamW and Lion at the end.

    Attributes:
      tasks: where; none: the search's own tasks.
      rates: learning rates to choose from, as factors of each rule's own scale.
      steps: length of a training; 0: as in the search.
      tuning_seeds: the rate is chosen by the mean validation fitness over these many seeds.
      seeds: fresh seeds for the final comparison, on test data.
    """

    tasks: tuple[str, ...] = ()
    rates: tuple[float, ...] = tuple(2.0**k for k in range(-5, 6))
    steps: int = 0
    tuning_seeds: int = 2
    seeds: int = 10

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_rates(self.rates)
        assert_at_least(0, self, "steps")
        assert_at_least(1, self, "tuning_seeds", "seeds")


@dataclass(frozen=True)
class SearchConfig:
    """A campaign.

    Attributes:
      start: the program that evolution starts from: a known rule's name, or a rule's text.
      training: how a candidate is trained.
      evolution: how candidates are made.
      funnel: what the best candidates go through after the search.
      verdict: how the winner is compared with AdamW and Lion.
      islands: populations that evolve side by side; each round of each is one pure call.
      rounds: length of the campaign.
      seed: the same seed gives the same campaign on the same software, however it is run.
      capacity: the largest number of statements of a program.
      spares: variables beyond those of the start program.
    """

    start: str = "adamw_no_bias_correction"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    funnel: tuple[FunnelStage, ...] = ()
    verdict: VerdictConfig = field(default_factory=VerdictConfig)
    islands: int = 2
    rounds: int = 40
    seed: int = 0
    capacity: int = 32
    spares: int = 8

    def __post_init__(self) -> None:
        """Reject what cannot be run."""
        assert_types(self)
        assert_at_least(1, self, "islands", "rounds", "capacity")
        assert_at_least(0, self, "seed", "spares")
        for training in (self.training, *(stage.training for stage in self.funnel)):
            for name in filter(tasks.is_held_out, training.tasks):
                raise ValueError(
                    f"the task {name!r} is held out: nothing may be selected by it. It may stand "
                    "in `verdict`; choose another task for the search"
                )


def to_json(config: Any) -> str:
    """A configuration as JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(kind: type[T], text: str) -> T:
    """A configuration from its JSON.

    Raises:
      ValueError: a key that there is none of, or a value that does not fit.
    """
    return _build(kind, json.loads(text), kind.__name__)


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object with keys, got {value!r}")
        fields = {f.name for f in dataclasses.fields(kind)}
        hints = typing.get_type_hints(kind)
        for key in value:
            if key not in fields:
                near = difflib.get_close_matches(key, fields, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"known: {sorted(fields)}"
                raise ValueError(f"{where} has no key {key!r}; {advice}")
        built = {k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()}
        return kind(**built)  # type: ignore[operator]
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, got {value!r}")
        inner = typing.get_args(kind)[0]
        return tuple(_build(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not fits(kind, value):
        raise ValueError(f"{where} must be {kind.__name__}, got {value!r}")
    return value
