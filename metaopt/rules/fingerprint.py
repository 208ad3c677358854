"""Behavioural fingerprints: two programs that compute the same updates get the same number.

Every program of a stack runs a few steps on fixed small inputs in float64, and its updates are
hashed. So `a + b` and `b + a`, dead code, renamed variables and constants written in two ways make
no difference. Programs run together: at each statement, those with the same operation are one
numpy call.
"""

from typing import NamedTuple

import numpy as np

from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout, take
from metaopt.rules.ops import BY_CODE, MAX_ARITY, Reduces

_SIZES = (4, 3)
"""Two tensors, so that norms of a tensor and of the model differ."""

_NUM_ELEMENTS = sum(_SIZES)
_CHUNK = 1024
"""Programs that run together; their registers should fit the second-level cache."""

_KEPT_BITS = 23
"""Bits of the mantissa that count: programs that differ by rounding are the same program."""


class Probe(NamedTuple):
    """The inputs of one step: `w` and `g` float64 `(E,)`, `lr` and `t` numbers."""

    w: np.ndarray
    g: np.ndarray
    lr: float
    t: float


def _probes() -> tuple[Probe, ...]:
    """Fixed steps: ordinary magnitudes first, then a step far out of the ordinary.

    The first gradient holds an exact zero. The last step, with gradients of up to 30 and a late
    `t`, tells programs apart that differ only in what they clip.
    """
    rng = np.random.default_rng(20230213)
    probes = []
    for g_scale, lr, t in ((0.1, 1.0, 1.0), (0.03, 0.7, 2.0), (0.3, 0.4, 3.0), (10.0, 0.1, 1e4)):
        signs = rng.choice([-1.0, 1.0], (2, _NUM_ELEMENTS))
        w, g = signs * np.exp(rng.normal(-1.0, 1.0, (2, _NUM_ELEMENTS)))
        g *= g_scale
        if not probes:
            g[2] = 0.0
        probes.append(Probe(w, g, lr, t))
    return tuple(probes)


_PROBES = _probes()
_MULTIPLIERS = np.random.default_rng(64).integers(
    1, 2**63, (len(_PROBES), _NUM_ELEMENTS), np.uint64
) * np.uint64(2) + np.uint64(1)


def fingerprint(genomes: Genome, layout: Layout) -> np.ndarray:
    """The fingerprints of stacked legal genomes.

    Args:
      genomes: a stack of N, best without dead code, since every statement is run.
      layout: their layout.

    Returns:
      int64 `(N,)`.
    """
    count = len(genomes.ops)
    starts = range(0, count, _CHUNK)
    parts = [_chunk(take(genomes, slice(i, i + _CHUNK)), layout) for i in starts]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


class _Call(NamedTuple):
    """The statements, one of each of several programs, that are one numpy call."""

    code: int
    args: tuple[np.ndarray, ...]
    target: np.ndarray


def _chunk(genomes: Genome, layout: Layout) -> np.ndarray:
    count, capacity = genomes.ops.shape
    num_registers = len(layout.registers)
    width = num_registers + capacity * MAX_ARITY
    schedule = _schedule(genomes, num_registers)

    values = np.zeros((count, width, _NUM_ELEMENTS))
    values[:, num_registers:] = genomes.constants.astype(np.float64).reshape(count, -1, 1)
    flat = values.reshape(-1, _NUM_ELEMENTS)

    first = np.arange(count) * width
    outputs = first[:, None] + genomes.outputs
    num_states = len(layout.states)
    lr_register = layout.num_tensors
    states = np.zeros((count, num_states, _NUM_ELEMENTS))
    hashes = np.zeros(count, np.uint64)
    with np.errstate(all="ignore"):
        for probe, multipliers in zip(_PROBES, _MULTIPLIERS, strict=True):
            values[:, 0], values[:, 1] = probe.w, probe.g
            values[:, 2 : 2 + num_states] = states
            values[:, lr_register], values[:, lr_register + 1] = probe.lr, probe.t
            values[:, lr_register + 2 : layout.num_inputs] = genomes.hyperparameters[..., None]
            for code, args, target in schedule:
                flat[target] = _apply(code, [flat[a] for a in args])
            found = flat[outputs]
            states = found[:, 1:]
            hashes += _hash(found[:, 0], multipliers)
    return hashes.view(np.int64)


def _schedule(genomes: Genome, num_registers: int) -> list[_Call]:
    """The statements of all programs as few calls, in an order that respects each program."""
    count, capacity = genomes.ops.shape
    base = np.arange(count) * (num_registers + capacity * MAX_ARITY)
    slots = num_registers + np.arange(capacity * MAX_ARITY).reshape(capacity, MAX_ARITY)
    places = np.where(genomes.args == CONSTANT, slots, genomes.args) + base[:, None, None]
    targets = genomes.targets + base[:, None]

    calls = []
    for i, column in enumerate(genomes.ops.T):
        by_op = np.argsort(column, kind="stable")
        by_op = by_op[np.searchsorted(column[by_op], NOTHING, side="right") :]
        if not len(by_op):
            continue
        cuts = np.flatnonzero(np.diff(column[by_op])) + 1
        for rows in np.split(by_op, cuts):
            code = int(column[rows[0]])
            args = tuple(places[rows, i, j] for j in range(BY_CODE[code].arity))
            calls.append(_Call(code, args, targets[rows, i]))
    return calls


def _apply(code: int, args: list[np.ndarray]) -> np.ndarray | float:
    op = BY_CODE[code]
    if op.reduces is Reduces.NOTHING:
        return op.numpy(*args)
    return op.numpy(_total_of_tensor if op.reduces is Reduces.EACH_TENSOR else _total, *args)


def _total(x: np.ndarray) -> np.ndarray:
    return x.sum(axis=-1, keepdims=True)


def _total_of_tensor(x: np.ndarray) -> np.ndarray:
    sums = np.add.reduceat(x, (0, _SIZES[0]), axis=-1)
    return np.repeat(sums, _SIZES, axis=-1)


def _hash(updates: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """A 64-bit number for each row: the leading bits of all elements, mixed and summed."""
    canonical = np.where(np.isnan(updates), np.nan, updates + 0.0)  # one NaN, one zero
    dropped = np.uint64(52 - _KEPT_BITS)
    half = np.uint64(1) << (dropped - np.uint64(1))
    bits = (canonical.view(np.uint64) + half) >> dropped
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return ((bits ^ (bits >> np.uint64(31))) * multipliers).sum(axis=-1, dtype=np.uint64)
