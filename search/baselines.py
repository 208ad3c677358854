"""AdamW and Lion, tuned on the search's own tasks: the lines that a campaign has to cross."""

from dataclasses import dataclass, replace

import numpy as np

from metaopt.rules import library
from metaopt.rules.program import Program
from search.config import SearchConfig
from search.evaluate import evaluate_programs

GRID = tuple(float(f"{10 ** (k / 3 - 5):.3g}") for k in range(15))
"""Learning rates that the baselines are tuned over: 1e-5 to 0.46, three a decade."""

WEIGHT_DECAYS = (0.0, 0.01, 0.1, 1.0)
"""Weight decays, multiplied by the learning rate, that the baselines are tuned over."""

_RULES = {"AdamW": "adamw", "Lion": "lion"}


@dataclass(frozen=True)
class Baseline:
    """A baseline at the best of its settings.

    Attributes:
      name: `AdamW` or `Lion`.
      fitness: on the search's tasks, as a candidate's.
      rate: the best learning rate of `GRID`.
      weight_decay: the best of `WEIGHT_DECAYS`.
    """

    name: str
    fitness: float
    rate: float
    weight_decay: float

    @property
    def program(self) -> Program:
        """The rule, without hyperparameters; its learning rate is not written in."""
        return _with_decay(self.name, self.weight_decay)


def _with_decay(name: str, weight_decay: float) -> Program:
    program = library.get(_RULES[name])
    values = dict(program.hyperparameters) | {"weight_decay": weight_decay}
    return replace(program, hyperparameters=tuple(values.items())).inlined()


def measure(config: SearchConfig) -> list[Baseline]:
    """Tune the baselines exactly as candidates are trained, over learning rate and decay."""
    found = []
    for name in _RULES:
        programs = [_with_decay(name, decay) for decay in WEIGHT_DECAYS]
        result = evaluate_programs(programs, replace(config.training, rates=GRID))
        best = int(np.argmax(result.fitness))
        fitness, rate = float(result.fitness[best]), float(result.rate[best])
        found.append(Baseline(name, fitness, rate, WEIGHT_DECAYS[best]))
    return found
