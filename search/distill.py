"""A winner made short: what can be left out or rounded without costing fitness.

Exact simplification comes first. Then every statement is tried without, and every constant with
fewer digits. Fitness is compared, seed by seed, with that of the best rule on the way, the original
included, so that costs cannot add up.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metaopt.rules.check import check, without_dead_code
from metaopt.rules.program import Assign, Program, constant, format_constant
from metaopt.rules.simplify import simplify
from search.evaluate import TrainingConfig, fitness_by_seed

_SEEDS = 500_000
"""Seeds from here on are for distillation."""


@dataclass(frozen=True)
class Change:
    """One change that was kept.

    Attributes:
      what: what was done, for people.
      fitness_before: mean fitness before it.
      fitness_after: mean fitness after it.
    """

    what: str
    fitness_before: float
    fitness_after: float

    @property
    def cost(self) -> float:
        """The fitness that it cost; negative for a gain."""
        return self.fitness_before - self.fitness_after


@dataclass(frozen=True)
class Distilled:
    """A distilled rule, and what was done to it."""

    program: Program
    changes: tuple[Change, ...]


@dataclass
class _Judge:
    """Says which rules are as good as the best so far.

    Attributes:
      training: how rules are trained, on seeds that no search used.
      best: fitness of the best rule so far, seed by seed.
      tolerance: by how much the mean may be lower; None: by one standard error of the differences.
    """

    training: TrainingConfig
    best: np.ndarray
    tolerance: float | None

    def fitness(self, programs: Sequence[Program]) -> tuple[np.ndarray, np.ndarray]:
        """Fitness of each, seed by seed, and whether that will do."""
        values = fitness_by_seed(programs, self.training)
        differences = values - self.best
        if self.tolerance is None:
            errors = differences.std(axis=1, ddof=1) / np.sqrt(differences.shape[1])
            largest = self.best.std(ddof=1) / np.sqrt(len(self.best)) / 2
            allowed = np.minimum(errors, largest)
        else:
            allowed = np.full(len(values), self.tolerance)
        return values, differences.mean(axis=1) >= -allowed


def distill(
    program: Program,
    training: TrainingConfig,
    say: Callable[[str], None] = lambda _: None,
    *,
    seeds: int = 16,
    tolerance: float | None = None,
) -> Distilled:
    """Shorten a rule and round its constants as far as its fitness allows.

    Args:
      program: a rule without hyperparameters.
      training: the training that the fitness is measured by.
      say: told of every change.
      seeds: trainings a task, at least 2; they are seeds that the search never used.
      tolerance: by how much the mean fitness may fall below the best on the way; None: by the
        standard error of the paired differences, and no more than half that of the mean itself.
    """
    training = replace(training, num_seeds=seeds, first_seed=_SEEDS)
    program = simplify(program)
    judge = _Judge(training, fitness_by_seed([program], training)[0], tolerance)
    fitness = float(judge.best.mean())
    changes: list[Change] = []

    def keep(what: str, new: Program, values: np.ndarray) -> None:
        nonlocal program, fitness
        new_fitness = float(values.mean())
        if new_fitness > judge.best.mean():
            judge.best = values
        changes.append(Change(what, fitness, new_fitness))
        program, fitness = new, new_fitness
        say(f"{what}: fitness {changes[-1].fitness_before:.4f} -> {new_fitness:.4f}")

    while found := _best(list(_shorter(program)), judge):
        keep(*found)
    settled: set[float] = set()
    while todo := [c for c in program.constants() if c[2] not in settled]:
        i, j, value = todo[0]
        options = list(_rounded(program, value))
        if not options:
            settled.add(value)
            continue
        values, will_do = judge.fitness([new for _, new in options])
        for k, (what, new) in enumerate(options):
            if will_do[k]:
                keep(what, new, values[k])
                value = new.body[i].args[j]
                break
        settled.add(float(value))
    return Distilled(simplify(program), tuple(changes))


def _best(
    options: Sequence[tuple[str, Program]], judge: _Judge
) -> tuple[str, Program, np.ndarray] | None:
    """The option that leaves the fewest statements, and of those the fittest, if any will do."""
    if not options:
        return None
    values, will_do = judge.fitness([program for _, program in options])
    if not will_do.any():
        return None
    chosen = np.flatnonzero(will_do)
    k = min(chosen.tolist(), key=lambda k: (len(options[k][1].body), -values[k].mean()))
    return *options[k], values[k]


def _shorter(program: Program) -> Iterator[tuple[str, Program]]:
    """The program with one statement less, or with `x / |x|` as a sign, where that is legal."""
    seen = {program.body}
    for i, statement in enumerate(program.body):
        candidates = [(f"without `{statement}`", program.with_statement(i))]
        for argument in statement.variables:  # bypass the operation
            body = _renamed(program, i, argument)
            candidates.append((f"`{argument}` for `{statement}`", body))
        if statement.op == "/" and isinstance(statement.args[0], str):
            sign = Assign(statement.target, "sign", (statement.args[0],))
            text = f"`{sign}` for `{statement}`"
            candidates.append((text, program.with_statement(i, sign)))
        for what, candidate in candidates:
            if check(candidate):
                continue
            candidate = simplify(without_dead_code(candidate))
            if len(candidate.body) < len(program.body) and candidate.body not in seen:
                seen.add(candidate.body)
                yield what, candidate


def _renamed(program: Program, index: int, name: str) -> Program:
    """The program without a statement; what it assigned is `name` instead, where both last."""
    target = program.body[index].target
    body, active = list(program.body[:index]), True
    for statement in program.body[index + 1 :]:
        if active:
            args = tuple(name if a == target else a for a in statement.args)
            statement = replace(statement, args=args)
        active = active and statement.target not in (target, name)
        body.append(statement)
    outputs = tuple(name if active and o == target else o for o in program.outputs)
    return replace(program, body=tuple(body), outputs=outputs)


def _rounded(program: Program, value: float) -> Iterator[tuple[str, Program]]:
    """The program with one constant, wherever it stands, rounded: the shortest form first."""
    seen = {value}
    for digits, of_rest in itertools.product((1, 2, 3, 4), (False, True)):
        # Averaging weights are as often rounded by what is missing to 1: 0.9987 is 1 - 0.0013.
        exact = 1 - value if of_rest else value
        short = float(f"{exact:.{digits}g}")
        rounded = constant(1 - short if of_rest else short)
        if rounded in seen or len(format_constant(rounded)) >= len(format_constant(value)):
            continue
        seen.add(rounded)
        new = program
        for i, j, c in program.constants():
            if c == value:
                new = new.with_argument(i, j, rounded)
        yield f"{format_constant(rounded)} for {format_constant(value)}", new
