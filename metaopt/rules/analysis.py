"""What `check` says of programs, computed for genomes: pure JAX functions to be vmapped.

All functions take one `Genome` (no leading dimension) of L statements and R registers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout
from metaopt.rules.ops import ARITY, BY_CODE, MAX_ARITY, REDUCES, TAKES_SCALAR, Extent, Reduces

UNDEFINED = -1

_EXISTS = np.arange(MAX_ARITY) < ARITY[:, None]
"""Which arguments each operation has."""


class Facts(NamedTuple):
    """What holds before each statement, and (row L) at the return.

    Attributes:
      extents: int32 `(L + 1, R)`, the `Extent` of each register, or `UNDEFINED`.
      used: bool `(L + 1, R)`, whether the value in a register is read from here on.
      scalar: bool `(L + 1, R)`, whether the value in a register must be a scalar for what follows.
      valid: bool, whether the program is legal.
    """

    extents: jax.Array
    used: jax.Array
    scalar: jax.Array
    valid: jax.Array


def result_extent(op: jax.Array, extents: jax.Array) -> jax.Array:
    """The extent of what `op` yields for arguments of these extents, int32 `(..., 3)`."""
    present = jnp.asarray(_EXISTS)[op]
    widest = jnp.max(jnp.where(present, extents, Extent.SCALAR), axis=-1)
    return jnp.select(
        [_reduces(op, r) for r in (Reduces.EACH_TENSOR, Reduces.MODEL, Reduces.RESCALES)],
        [
            jnp.full_like(widest, Extent.PER_TENSOR),
            jnp.full_like(widest, Extent.SCALAR),
            extents[..., 0],
        ],
        widest,
    )


def _reduces(op: jax.Array, what: Reduces) -> jax.Array:
    return jnp.asarray(REDUCES)[op] == what


def argument_extents(args: jax.Array, extents: jax.Array) -> jax.Array:
    """Extents of arguments, int32 `(3,)`, given those of the registers; constants are scalars."""
    return jnp.where(args == CONSTANT, Extent.SCALAR, extents[args])


def present_arguments(op: jax.Array, args: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which of the three arguments exist, and which of them are registers."""
    exists = jnp.asarray(_EXISTS)[op]
    return exists, exists & (args != CONSTANT)


def facts(genome: Genome, layout: Layout) -> Facts:
    """Definedness, extents, use and scalar demands of every register at every point."""
    registers = jnp.arange(len(layout.registers))
    start = jnp.select(
        [registers < layout.num_tensors, registers < layout.num_inputs],
        [Extent.TENSOR, Extent.SCALAR],
        UNDEFINED,
    )

    def forward(extents: jax.Array, statement: tuple[jax.Array, ...]) -> tuple:
        op, target, args = statement
        found = argument_extents(args, extents)
        _, reads = present_arguments(op, args)
        takes_scalar = jnp.asarray(TAKES_SCALAR)[op]
        legal = ~jnp.any(reads & ((found == UNDEFINED) | (takes_scalar & (found != Extent.SCALAR))))
        assigned = (registers == target) & (op != NOTHING)
        after = jnp.where(assigned, result_extent(op, found), extents)
        return after, (extents, legal | (op == NOTHING))

    code = (genome.ops, genome.targets, genome.args)
    last, (extents, legal) = jax.lax.scan(forward, start, code)
    valid = jnp.all(legal) & jnp.all(last[genome.outputs] != UNDEFINED)

    outputs = jnp.any(registers[None] == genome.outputs[:, None], axis=0)
    no_demand = jnp.zeros_like(outputs)

    def backward(after: tuple[jax.Array, jax.Array], statement: tuple[jax.Array, ...]) -> tuple:
        used, scalar = after
        op, target, args = statement
        _, reads = present_arguments(op, args)
        assigned = (registers == target) & (op != NOTHING)
        must_be_scalar = jnp.any(scalar & assigned)
        inherits = must_be_scalar & ~_reduces(op, Reduces.MODEL)
        demands = reads & (jnp.asarray(TAKES_SCALAR)[op] | inherits) & (op != NOTHING)
        reads = reads & (op != NOTHING)
        is_argument = registers[None] == args[:, None]
        used = (used & ~assigned) | jnp.any(is_argument & reads[:, None], axis=0)
        scalar = (scalar & ~assigned) | jnp.any(is_argument & demands[:, None], axis=0)
        return (used, scalar), (used, scalar)

    _, (used, scalar) = jax.lax.scan(backward, (outputs, no_demand), code, reverse=True)
    return Facts(
        jnp.concatenate([extents, last[None]]),
        jnp.concatenate([used, outputs[None]]),
        jnp.concatenate([scalar, no_demand[None]]),
        valid,
    )


def live(genome: Genome, layout: Layout) -> jax.Array:
    """Which statements reach an update, of this step or of a later one: bool `(L,)`.

    Liveness across iterations, as in `check.live_statements`: a live output makes the state that
    it becomes live at the start of the step, until nothing changes.
    """
    registers = jnp.arange(len(layout.registers))
    num_states = len(layout.states)
    code = (genome.ops, genome.targets, genome.args)

    def backward(wanted: jax.Array, statement: tuple[jax.Array, ...]) -> tuple:
        op, target, args = statement
        _, reads = present_arguments(op, args)
        alive = jnp.any((registers == target) & wanted) & (op != NOTHING)
        read = jnp.any((registers[None] == args[:, None]) & reads[:, None], axis=0)
        after = jnp.where(alive, (wanted & (registers != target)) | read, wanted)
        return after, alive

    live_states = jnp.zeros(num_states, bool)
    alive = jnp.zeros(layout.capacity, bool)
    for _ in range(num_states + 1):
        roots = jnp.concatenate([jnp.ones(1, bool), live_states])
        wanted = jnp.any((registers[None] == genome.outputs[:, None]) & roots[:, None], axis=0)
        wanted, alive = jax.lax.scan(backward, wanted, code, reverse=True)
        live_states = live_states | wanted[2 : 2 + num_states]
    return alive


def length(genome: Genome) -> jax.Array:
    """The number of statements, int32."""
    return jnp.sum(genome.ops != NOTHING, axis=-1)


NUM_OPS = len(BY_CODE)
