"""The batched interpreter: a register machine in JAX that reads genomes as data.

One compiled step serves every program of a layout, so nothing is compiled for a new program. Under
`vmap` all operations are computed and one is selected, which suits accelerators; under `lax.map`
only one is. Parameters are one flat vector, all tensors laid end to end; every register is such a
vector, a scalar one repeated.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout
from metaopt.rules.ops import BY_CODE, MAX_ARITY, Op, Reduces


def step(
    genome: Genome,
    w: jax.Array,
    g: jax.Array,
    states: jax.Array,
    lr: jax.Array | float,
    t: jax.Array | int,
    *,
    layout: Layout,
    sizes: tuple[int, ...],
    limit: jax.Array | int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """One step of one program.

    Args:
      genome: without leading dimension; vmap over stacked ones. Undefined for illegal programs.
      w: parameters, float `(P,)`.
      g: gradient, `(P,)`.
      states: `(S, P)`, zeros at the start.
      lr: learning rate, scalar.
      t: 1-based step, scalar.
      layout: the genome's layout (static).
      sizes: number of elements of each parameter tensor, in order, summing to P (static).
      limit: run only this many statements, for stacks whose programs are all shorter than there
        is room for; must not be mapped over. None: all.

    Returns:
      The update `(P,)`, to be subtracted from `w`, and the new states `(S, P)`.
    """
    num_states = len(layout.states)
    branches = [_branch(op, sizes) for op in BY_CODE]
    registers = jnp.zeros((len(layout.registers), w.shape[0]), w.dtype)
    registers = registers.at[0].set(w).at[1].set(g).at[2 : 2 + num_states].set(states)
    scalars = jnp.stack([jnp.asarray(lr, w.dtype), jnp.asarray(t, w.dtype)])
    scalars = jnp.concatenate([scalars, jnp.asarray(genome.hyperparameters, w.dtype)])
    registers = registers.at[layout.num_tensors : layout.num_inputs].set(scalars[:, None])

    code = (genome.ops, genome.targets, genome.args, genome.constants)
    code = jax.tree.map(jnp.asarray, code)

    def statement(i: jax.Array, registers: jax.Array) -> jax.Array:
        op, target, args, constants = (column[i] for column in code)
        values = [
            jnp.where(args[j] == CONSTANT, constants[j].astype(w.dtype), registers[args[j]])
            for j in range(MAX_ARITY)
        ]
        result = jax.lax.switch(jnp.maximum(op, 0), branches, *values)
        result = jnp.where(op == NOTHING, registers[target], result)
        return registers.at[target].set(result)

    count = genome.ops.shape[0] if limit is None else limit
    registers = jax.lax.fori_loop(0, count, statement, registers)
    found = registers[jnp.asarray(genome.outputs)]
    return found[0], found[1:]


def _branch(op: Op, sizes: tuple[int, ...]) -> Callable[..., jax.Array]:
    """The operation on three vectors, of which it reads as many as it has arguments."""

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(x, keepdims=True)

    def total_of_tensor(x: jax.Array) -> jax.Array:
        ends = np.cumsum(sizes)
        parts = [jnp.sum(x[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
        return jnp.stack(parts)[np.repeat(np.arange(len(sizes)), sizes)]

    def branch(*values: jax.Array) -> jax.Array:
        args = values[: op.arity]
        if op.reduces is not Reduces.NOTHING:
            sums = total_of_tensor if op.reduces is Reduces.EACH_TENSOR else total
            result = op.jax(sums, *args)
        else:
            result = op.jax(*args)
        return jnp.broadcast_to(jnp.asarray(result, values[0].dtype), values[0].shape)

    return branch
