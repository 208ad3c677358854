"""Mutation of genomes, as published for Lion's search (arXiv 2302.06675, section 2).

A mutation inserts a random statement, deletes one, or modifies one argument: to another variable,
to a new constant drawn from N(0, 1), or, if it is a constant, to that constant times 2^a with
a ~ N(0, 1). Choices that would make the program illegal are excluded before sampling, so every
mutant of a legal program is legal and none is thrown away.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from metaopt.rules.analysis import (
    NUM_OPS,
    UNDEFINED,
    Facts,
    argument_extents,
    facts,
    length,
    present_arguments,
    result_extent,
)
from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout
from metaopt.rules.ops import ARITY, MAX_ARITY, REDUCES, TAKES_SCALAR, Extent, Reduces

INSERT, DELETE, MODIFY, SCALE = range(4)
KINDS = ("insert", "delete", "modify", "scale a constant")
"""The kinds of mutation, by the number that `mutate` reports."""

UNCHANGED = -1
"""The kind that `mutate` reports where no mutation was possible."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class MutationWeights:
    """Relative frequencies of the kinds of mutation; a kind that is impossible gets none.

    Attributes:
      insert: insert a random statement.
      delete: delete a statement.
      modify: modify one argument in any of the three ways.
      scale: only multiply a constant by 2^a; alone it is hyperparameter evolution.
    """

    insert: float = 1.0
    delete: float = 1.0
    modify: float = 1.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        """Reject weights that cannot be sampled from."""
        weights = (self.insert, self.delete, self.modify, self.scale)
        if min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"mutation weights must be >= 0 and not all 0, got {weights}")


def mutate(
    key: jax.Array, genome: Genome, layout: Layout, weights: MutationWeights
) -> tuple[Genome, jax.Array]:
    """One random mutation of one legal genome; vmap it over keys and stacked genomes.

    Args:
      key: a PRNG key.
      genome: without leading dimension.
      layout: its layout (static).
      weights: relative frequencies (static).

    Returns:
      The mutant, and the kind of the mutation, int32, an index of `KINDS`; where no wanted kind is
      possible the genome itself and `UNCHANGED`.
    """
    genome = jax.tree.map(jnp.asarray, genome)
    known = facts(genome, layout)
    uniform_key, normal_key = jax.random.split(key)
    u = jax.random.uniform(uniform_key, (12,))
    normal = jax.random.normal(normal_key, (MAX_ARITY + 1,))
    size = length(genome)

    inserted = _insert(u[1:7], normal, genome, known, layout)
    deletable = _deletable(genome, known)
    deleted = _delete(u[1], deletable, genome)
    modified = _modify(u[1:6], normal, genome, known)
    is_constant = _argument_mask(genome) & (genome.args == CONSTANT)
    scaled = _scale(u[1], normal[0], is_constant, genome)

    possible = jnp.stack(
        [
            size < layout.capacity,
            jnp.any(deletable),
            jnp.any(_argument_mask(genome)),
            jnp.any(is_constant),
        ]
    )
    wanted = jnp.array([weights.insert, weights.delete, weights.modify, weights.scale])
    weighted = jnp.where(possible, wanted, 0.0)
    kind = jnp.where(jnp.any(weighted > 0), _weighted(u[0], weighted), UNCHANGED)
    choices = (genome, inserted, deleted, modified, scaled)
    return jax.tree.map(lambda *leaves: _select(kind - UNCHANGED, leaves), *choices), kind


def _insert(
    u: jax.Array, normal: jax.Array, genome: Genome, known: Facts, layout: Layout
) -> Genome:
    """Insert a random statement at a random place."""
    size = length(genome)
    place = _uniform_index(u[0], size + 1)
    op = _uniform_index(u[1], NUM_OPS)
    extents = known.extents[place]
    takes_scalar = jnp.asarray(TAKES_SCALAR)[op]

    args = []
    for j in range(MAX_ARITY):
        legal = (extents != UNDEFINED) & (~takes_scalar[j] | (extents == Extent.SCALAR))
        args.append(_register_or_constant(u[2 + j], legal))
    args = jnp.where(jnp.arange(MAX_ARITY) < jnp.asarray(ARITY)[op], jnp.stack(args), CONSTANT)

    extent = result_extent(op, argument_extents(args, extents))
    known_targets = _assigned(genome, layout)
    first_spare = jnp.argmin(known_targets)  # the first register not in use, if any
    candidates = known_targets | (jnp.arange(len(layout.registers)) == first_spare)
    candidates &= ~known.scalar[place] | (extent == Extent.SCALAR)
    target = _pick(u[5], candidates)

    constants = jnp.where(args == CONSTANT, normal[:MAX_ARITY], 0.0)
    constants = jnp.where(jnp.arange(MAX_ARITY) < jnp.asarray(ARITY)[op], constants, 0.0)
    rows = jnp.arange(layout.capacity)
    source = jnp.where(rows > place, rows - 1, rows)

    def shifted(column: jax.Array, new: jax.Array) -> jax.Array:
        here = (rows == place).reshape((-1,) + (1,) * (column.ndim - 1))
        return jnp.where(here, new, column[source])

    return genome._replace(
        ops=shifted(genome.ops, op.astype(genome.ops.dtype)),
        targets=shifted(genome.targets, target.astype(genome.targets.dtype)),
        args=shifted(genome.args, args.astype(genome.args.dtype)),
        constants=shifted(genome.constants, constants),
    )


def _assigned(genome: Genome, layout: Layout) -> jax.Array:
    """Registers that are inputs or that some statement assigns."""
    registers = jnp.arange(len(layout.registers))
    written = (registers[None] == genome.targets[:, None]) & (genome.ops != NOTHING)[:, None]
    return jnp.any(written, axis=0) | (registers < layout.num_inputs)


def _deletable(genome: Genome, known: Facts) -> jax.Array:
    """Statements whose removal leaves a legal program, bool `(L,)`.

    The value that the target had before must do for those who read it afterwards.
    """
    before = jnp.take_along_axis(known.extents[:-1], genome.targets[:, None], axis=1)[:, 0]
    used = jnp.take_along_axis(known.used[1:], genome.targets[:, None], axis=1)[:, 0]
    scalar = jnp.take_along_axis(known.scalar[1:], genome.targets[:, None], axis=1)[:, 0]
    falls_back = (before != UNDEFINED) & (~scalar | (before == Extent.SCALAR))
    return (genome.ops != NOTHING) & (~used | falls_back)


def _delete(u: jax.Array, deletable: jax.Array, genome: Genome) -> Genome:
    """Delete one of the deletable statements."""
    place = _pick(u, deletable)
    rows = jnp.arange(deletable.shape[0])
    source = jnp.minimum(jnp.where(rows >= place, rows + 1, rows), rows[-1])
    emptied = rows == length(genome) - 1
    shifted = Genome(
        genome.ops[source],
        genome.targets[source],
        genome.args[source],
        genome.constants[source],
        genome.outputs,
        genome.hyperparameters,
    )
    return shifted._replace(
        ops=jnp.where(emptied, NOTHING, shifted.ops),
        targets=jnp.where(emptied, 0, shifted.targets),
        args=jnp.where(emptied[:, None], CONSTANT, shifted.args),
        constants=jnp.where(emptied[:, None], 0.0, shifted.constants),
    )


def _modify(u: jax.Array, normal: jax.Array, genome: Genome, known: Facts) -> Genome:
    """Modify one argument of one statement."""
    mask = _argument_mask(genome)
    row = _pick(u[0], jnp.any(mask, axis=1))
    column = _pick(u[1], mask[row])
    op, target, old = genome.ops[row], genome.targets[row], genome.args[row, column]
    extents = known.extents[row]

    inherits = known.scalar[row + 1, target] & (jnp.asarray(REDUCES)[op] != Reduces.MODEL)
    must_be_scalar = jnp.asarray(TAKES_SCALAR)[op, column] | inherits
    legal = (extents != UNDEFINED) & (~must_be_scalar | (extents == Extent.SCALAR))
    legal &= jnp.arange(legal.shape[0]) != old
    new = _register_or_constant(u[2], legal)

    was_constant = old == CONSTANT
    scales = was_constant & (u[3] < 0.5)
    new = jnp.where(scales, CONSTANT, new)
    scaled = _times_power_of_two(genome.constants[row, column], normal[0])
    fresh = jnp.where(new == CONSTANT, normal[0], 0.0)
    value = jnp.where(scales, scaled, fresh)
    return genome._replace(
        args=genome.args.at[row, column].set(new.astype(genome.args.dtype)),
        constants=genome.constants.at[row, column].set(value),
    )


def _scale(u: jax.Array, normal: jax.Array, is_constant: jax.Array, genome: Genome) -> Genome:
    """Multiply one constant by 2^a, a ~ N(0, 1)."""
    chosen = _pick(u, is_constant.reshape(-1))
    row, column = chosen // MAX_ARITY, chosen % MAX_ARITY
    value = _times_power_of_two(genome.constants[row, column], normal)
    return genome._replace(constants=genome.constants.at[row, column].set(value))


def _times_power_of_two(value: jax.Array, exponent: jax.Array) -> jax.Array:
    return jnp.clip(value * jnp.exp2(exponent), -_LARGEST, _LARGEST)


def _argument_mask(genome: Genome) -> jax.Array:
    """Which entries of `args` are arguments, bool `(L, 3)`."""
    exists, _ = present_arguments(genome.ops, genome.args)
    return exists & (genome.ops != NOTHING)[:, None]


def _uniform_index(u: jax.Array, count: jax.Array | int) -> jax.Array:
    """An index below `count`, from a uniform number in [0, 1)."""
    return jnp.minimum((u * count).astype(jnp.int32), count - 1)


def _pick(u: jax.Array, mask: jax.Array) -> jax.Array:
    """A uniformly chosen index where `mask` holds; 0 where it holds nowhere."""
    rank = _uniform_index(u, jnp.sum(mask))
    return jnp.argmax(_running_sum(mask) > rank)


def _running_sum(x: jax.Array) -> jax.Array:
    """`jnp.cumsum` as a product with a triangular matrix, which compiles and runs faster."""
    n = x.shape[0]
    return x.astype(jnp.float32) @ jnp.triu(jnp.ones((n, n), jnp.float32))


def _register_or_constant(u: jax.Array, legal: jax.Array) -> jax.Array:
    """One of the legal registers or `CONSTANT`, all equally likely."""
    return _pick(u, jnp.concatenate([jnp.ones(1, bool), legal])) - 1


def _weighted(u: jax.Array, weights: jax.Array) -> jax.Array:
    """An index drawn with the given weights."""
    return jnp.argmax(_running_sum(weights) > u * jnp.sum(weights)).astype(jnp.int32)


def _select(kind: jax.Array, leaves: tuple[jax.Array, ...]) -> jax.Array:
    return jnp.select([kind == i for i in range(len(leaves))], leaves)
