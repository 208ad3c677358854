"""Stacks of mutants for the tests of machines that run genomes."""

from functools import cache, partial

import jax
import numpy as np

from metaopt.rules import parse
from metaopt.rules.genome import Genome, Layout, encode, stack
from metaopt.rules.mutate import MutationWeights, mutate

START = parse("""
def start(w, g, m, v, lr, t, b=0.9, c=2):
    g2 = square(g)
    m = interp(g, m, b)
    v = interp(g2, v, 0.999)
    n = norm(g)
    k = clip_by_global_norm(g, lr)
    k = k * n
    u = m + k
    d = dot(u, g)
    e = pi()
    d = d * t
    u = u * d
    x = w * 0.01
    return u, m, v
""")
LAYOUT = Layout.of(START, capacity=20, spares=4)


@cache
def mutator(layout: Layout = LAYOUT, weights: MutationWeights | None = None):
    """Compiled: stacked keys and genomes -> mutants and kinds, as numpy arrays."""
    one = partial(mutate, layout=layout, weights=weights or MutationWeights())
    compiled = jax.jit(jax.vmap(one))
    return lambda keys, genomes: jax.tree.map(np.asarray, compiled(keys, genomes))


def generations(count: int, size: int, seed: int = 0):
    """Each generation of mutants of the one before, from `START` on: (parents, mutants, kinds)."""
    genomes = stack([encode(START, LAYOUT)] * size)
    for i in range(count):
        keys = jax.random.split(jax.random.key(seed * 1000 + i), size)
        mutants, kinds = mutator()(keys, genomes)
        yield genomes, mutants, kinds
        genomes = mutants


def corrupted(genomes: Genome, layout: Layout = LAYOUT, seed: int = 0) -> Genome:
    """Genomes with a few arguments, targets and outputs replaced by any register."""
    random = np.random.default_rng(seed)

    def some(column: np.ndarray, low: int, rate: float) -> np.ndarray:
        anything = random.integers(low, len(layout.registers), column.shape)
        return np.where(random.random(column.shape) < rate, anything, column).astype(np.int32)

    ops = np.where(
        (genomes.ops >= 0) & (random.random(genomes.ops.shape) < 0.05),
        random.integers(0, 45, genomes.ops.shape),
        genomes.ops,
    )
    return genomes._replace(
        ops=ops.astype(np.int32),
        args=some(genomes.args, -1, 0.04),
        targets=some(genomes.targets, 0, 0.05),
        outputs=some(genomes.outputs, 0, 0.05),
    )
