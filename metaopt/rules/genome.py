"""Genomes: programs as fixed-shape arrays, which can be stacked, mutated and run in batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from metaopt.rules.ops import BY_CODE, MAX_ARITY, OPS
from metaopt.rules.program import (
    GRADIENT,
    PARAMETERS,
    RATE,
    STEP,
    Argument,
    Assign,
    Program,
)

CONSTANT = -1
"""In `Genome.args`: the argument is the constant at the same place of `Genome.constants`."""

NOTHING = -1
"""In `Genome.ops`: the statement is padding."""


Array = Any
"""A numpy array, or a JAX array inside compiled functions."""


class Genome(NamedTuple):
    """One program, or a stack of programs with any leading dimensions, for a given `Layout`.

    Attributes:
      ops: int32 `(..., L)`, operation codes; statements past the end hold `NOTHING`.
      targets: int32 `(..., L)`, the register that each statement assigns.
      args: int32 `(..., L, 3)`, registers, or `CONSTANT`.
      constants: float32 `(..., L, 3)`.
      outputs: int32 `(..., 1 + S)`, registers of the update and of each state's new value.
      hyperparameters: float32 `(..., H)`, their default values.
    """

    ops: Array
    targets: Array
    args: Array
    constants: Array
    outputs: Array
    hyperparameters: Array


@dataclass(frozen=True)
class Layout:
    """What the numbers of a genome stand for; the programs of one population share one.

    Registers are numbered: `w, g, states..., lr, t, hyperparameters...`, then the variables of the
    program that the layout was made for, then spare ones.

    Attributes:
      name: the name that decoded programs get.
      states: names of the states.
      hyperparameters: names of the hyperparameters.
      registers: the name of every register.
      capacity: the number L of statements there is room for.
      doc: the docstring that decoded programs get.
    """

    name: str
    states: tuple[str, ...]
    hyperparameters: tuple[str, ...]
    registers: tuple[str, ...]
    capacity: int
    doc: str = ""

    @classmethod
    def of(cls, program: Program, *, capacity: int = 0, spares: int = 0) -> "Layout":
        """The layout for a program and what mutation makes of it.

        Args:
          program: any program.
          capacity: room for this many statements; at least as many as the program has.
          spares: number of variables beyond those that the program has.
        """
        hyperparameters = tuple(name for name, _ in program.hyperparameters)
        names = dict.fromkeys((PARAMETERS, GRADIENT, *program.states, RATE, STEP))
        names |= dict.fromkeys((*hyperparameters, *program.variables))
        fresh = (f"x{i}" for i in range(1, len(names) + spares + 1))
        spare_names = [name for name in fresh if name not in names][:spares]
        return cls(
            program.name,
            program.states,
            hyperparameters,
            (*names, *spare_names),
            max(capacity, len(program.body)),
            program.doc,
        )

    @classmethod
    def covering(cls, programs: Sequence[Program]) -> "Layout":
        """The smallest layout for programs that have the same states and hyperparameters."""
        layouts = [cls.of(program) for program in programs]
        inputs = layouts[0].registers[: layouts[0].num_inputs]
        names = dict.fromkeys((*inputs, *(name for each in layouts for name in each.registers)))
        capacity = max(layout.capacity for layout in layouts)
        return replace(layouts[0], registers=tuple(names), capacity=capacity)

    @property
    def num_tensors(self) -> int:
        """The first registers hold tensors: `w`, `g` and the states."""
        return 2 + len(self.states)

    @property
    def num_inputs(self) -> int:
        """Registers that are defined before the first statement."""
        return self.num_tensors + 2 + len(self.hyperparameters)


def encode(program: Program, layout: Layout) -> Genome:
    """A program as a genome.

    Raises:
      ValueError: the layout lacks room, a variable, or the same states and hyperparameters.
    """
    names = tuple(name for name, _ in program.hyperparameters)
    if (program.states, names) != (layout.states, layout.hyperparameters):
        raise ValueError(
            f"rule {program.name!r} has states {program.states} and hyperparameters {names}; the "
            f"layout has {layout.states} and {layout.hyperparameters}"
        )
    if len(program.body) > layout.capacity:
        raise ValueError(
            f"rule {program.name!r} has {len(program.body)} statements; the layout has room for "
            f"{layout.capacity}"
        )
    register = {name: i for i, name in enumerate(layout.registers)}
    missing = [name for name in program.variables if name not in register]
    if missing:
        raise ValueError(f"the layout has no register for {', '.join(missing)}")

    ops = np.full(layout.capacity, NOTHING, np.int32)
    targets = np.zeros(layout.capacity, np.int32)
    args = np.full((layout.capacity, MAX_ARITY), CONSTANT, np.int32)
    constants = np.zeros((layout.capacity, MAX_ARITY), np.float32)
    for i, statement in enumerate(program.body):
        ops[i] = OPS[statement.op].code
        targets[i] = register[statement.target]
        for j, argument in enumerate(statement.args):
            if isinstance(argument, str):
                args[i, j] = register[argument]
            else:
                constants[i, j] = argument
    outputs = np.array([register[name] for name in program.outputs], np.int32)
    values = np.array([value for _, value in program.hyperparameters], np.float32)
    return Genome(ops, targets, args, constants, outputs, values)


def decode(genome: Genome, layout: Layout) -> Program:
    """The program that a genome stands for."""
    genome = Genome(*(np.asarray(leaf) for leaf in genome))
    length = int(np.sum(genome.ops != NOTHING))

    def argument(i: int, j: int) -> Argument:
        register = int(genome.args[i, j])
        return _decimal(genome.constants[i, j]) if register < 0 else layout.registers[register]

    body = []
    for i in range(length):
        op = BY_CODE[genome.ops[i]]
        args = tuple(argument(i, j) for j in range(op.arity))
        body.append(Assign(layout.registers[genome.targets[i]], op.name, args))
    outputs = tuple(layout.registers[i] for i in genome.outputs)
    values = (_decimal(value) for value in genome.hyperparameters)
    hyperparameters = tuple(zip(layout.hyperparameters, values, strict=True))
    return Program(layout.name, layout.states, tuple(body), outputs, hyperparameters, layout.doc)


def _decimal(value: np.float32) -> float:
    return float(str(value))


def stack(genomes: Iterable[Genome]) -> Genome:
    """Genomes of one layout as one, with a new leading dimension."""
    return Genome(*(np.stack(leaves) for leaves in zip(*genomes, strict=True)))


def take(genomes: Genome, index: int | Sequence[int] | np.ndarray | slice) -> Genome:
    """The genomes at `index` of the leading dimension."""
    return Genome(*(leaf[index] for leaf in genomes))


def without_dead_code(genomes: Genome, live: np.ndarray) -> Genome:
    """Stacked genomes with only their live statements, cut to the longest of them.

    A state whose new value nothing computes any more, since it is dead, keeps its old one.

    Args:
      genomes: a stack of N.
      live: bool `(N, L)`, the statements to keep, as `analysis.live` finds them.
    """
    order = np.argsort(~live, axis=1, kind="stable")[:, : int(live.sum(axis=1).max(initial=1))]
    kept = np.take_along_axis(live, order, 1)

    def compact(column: np.ndarray, empty: float) -> np.ndarray:
        extra = (1,) * (column.ndim - 2)
        rows = np.take_along_axis(column, order.reshape(order.shape + extra), 1)
        return np.where(kept.reshape(kept.shape + extra), rows, column.dtype.type(empty))

    writes = genomes.targets[:, None, :] == genomes.outputs[:, :, None]
    writes &= (genomes.ops != NOTHING)[:, None, :]
    lost = writes.any(axis=2) & ~(writes & live[:, None, :]).any(axis=2)
    unchanged = np.arange(genomes.outputs.shape[1], dtype=np.int32) + 1  # the states' registers

    return genomes._replace(
        outputs=np.where(lost, unchanged, genomes.outputs),
        ops=compact(genomes.ops, NOTHING),
        targets=compact(genomes.targets, 0),
        args=compact(genomes.args, CONSTANT),
        constants=compact(genomes.constants, 0.0),
    )


def concatenate(parts: Sequence[Genome]) -> Genome:
    """Stacks of genomes joined along the leading dimension."""
    return Genome(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True)))
