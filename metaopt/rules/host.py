"""The interpreter for CPUs: one program as a list of numpy calls on float32 vectors.

On a CPU a vectorized numpy call on a few thousand elements costs about a microsecond, less than
any dispatch inside XLA, and nothing needs to be compiled. Scalars stay scalars.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout
from metaopt.rules.ops import BY_CODE, Reduces

Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.float32, np.float32], np.ndarray]
"""`(w, g, states, lr, t) -> update`; `states` `(S, P)` is updated in place."""


def compile_step(genome: Genome, layout: Layout, sizes: tuple[int, ...]) -> Step:
    """The step function of one program.

    Args:
      genome: one legal genome, best without dead code.
      layout: its layout.
      sizes: number of elements of each parameter tensor, in order.

    Returns:
      A function of `w` and `g`, float32 `(P,)`, `states`, float32 `(S, P)`, and the float32
      scalars `lr` and `t`. It returns the update (a vector or a scalar, to be subtracted from `w`)
      and writes the new states in place. Numerical warnings are the caller's to silence.
    """
    num_registers = len(layout.registers)
    num_states = len(layout.states)
    initial: list[Any] = [None] * num_registers
    for j, value in enumerate(genome.hyperparameters):
        initial[layout.num_tensors + 2 + j] = np.float32(value)

    code: list[tuple[Callable[..., Any], int, tuple[int, ...]]] = []
    for i in range(int(np.sum(genome.ops != NOTHING))):
        op = BY_CODE[genome.ops[i]]
        places = []
        for j in range(op.arity):
            if genome.args[i, j] == CONSTANT:
                places.append(len(initial))
                initial.append(genome.constants[i, j])
            else:
                places.append(int(genome.args[i, j]))
        code.append((_call(genome.ops[i], sizes), int(genome.targets[i]), tuple(places)))

    update_register, *state_registers = (int(r) for r in genome.outputs)
    lr_register = layout.num_tensors
    state_inputs = set(range(2, 2 + num_states)) - {target for _, target, _ in code}
    returns_a_state = any(int(r) in state_inputs for r in genome.outputs)  # a view of `states`

    def step(
        w: np.ndarray, g: np.ndarray, states: np.ndarray, lr: np.float32, t: np.float32
    ) -> np.ndarray:
        values: list[Any] = initial.copy()
        values[0], values[1] = w, g
        values[2 : 2 + num_states] = states
        values[lr_register], values[lr_register + 1] = lr, t
        for function, target, places in code:
            values[target] = function(*[values[p] for p in places])
        new = [values[r] for r in state_registers]
        update = values[update_register]
        if returns_a_state:
            new, update = [np.copy(x) for x in new], np.copy(update)
        for row, value in zip(states, new, strict=True):
            row[...] = value
        return update

    return step


def _call(code: int, sizes: tuple[int, ...]) -> Callable[..., Any]:
    op = BY_CODE[code]
    if op.arity == 0:
        value = np.float32(op.numpy())
        return lambda: value
    if op.reduces is Reduces.NOTHING:
        return op.numpy
    num_elements = sum(sizes)
    starts = np.cumsum((0, *sizes[:-1]))
    counts = np.array(sizes)

    def total(x: np.ndarray) -> np.float32:
        return x.sum() if x.ndim else np.float32(x * num_elements)

    def total_of_tensor(x: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(x, starts) if x.ndim else x * counts.astype(np.float32)
        return np.repeat(sums, counts)

    sums = total_of_tensor if op.reduces is Reduces.EACH_TENSOR else total
    return lambda *args: op.numpy(sums, *args)
