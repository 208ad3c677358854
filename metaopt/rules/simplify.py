"""Shorter programs that mean the same.

Every rewrite must pay for itself twice: it is kept only if fewer live statements remain, and if the
float64 reference gives the same updates, infinities and NaN included, on fixed probes.
"""

from collections.abc import Iterator

import numpy as np

from metaopt.rules import algebra
from metaopt.rules.canonical import canonical as canonical
from metaopt.rules.check import check, without_dead_code
from metaopt.rules.graph import Graph, Ref, graph_of, program_of
from metaopt.rules.program import Program
from metaopt.rules.reference import run
from metaopt.rules.rewrites import REWRITES, Rewrite

STEPS = 6
SHAPES = ((), (7,), (2, 3))
MAX_ROUNDS = 8
TOLERANCE = 1e-6
"""Relative; constants are float32 numbers, so folding them moves results by 6e-8."""


def simplify(program: Program) -> Program:
    """Remove what a rule does not need.

    Dead statements go, and equal subexpressions and equal states are merged. Then local rewrites
    (constants folded, neutral elements, inverse functions, signs) and sympy's rules are tried as
    long as they help; each is kept only if it saves statements and the updates stay what they were
    on the probes.
    Names of variables are kept where possible.

    Args:
      program: any valid program.

    Returns:
      A program with at most as many live statements.
    """
    best = without_dead_code(program)
    target = _trajectory(best)

    def kept(graph: Graph) -> bool:
        nonlocal best
        try:
            new = program_of(graph)
        except ValueError:  # a constant beyond the range of float32
            return False
        if len(new.body) >= len(best.body) or check(new) or not same(target, _trajectory(new)):
            return False
        best = new
        return True

    kept(graph_of(best))  # merges equal subexpressions
    if (merged := graph_of(best).without_twin_states()).program.states != best.states:
        best = program_of(merged)
    for _ in range(MAX_ROUNDS):
        if not any(kept(graph) for graph in _proposals(graph_of(best))):
            break
    return best


def _proposals(graph: Graph) -> Iterator[Graph]:
    """Rewritten graphs, the boldest first."""
    yield _rewritten(graph, REWRITES)
    for rewrite in REWRITES:
        yield _rewritten(graph, (rewrite,))
    for rewrite in REWRITES:
        for place in graph.live():
            yield _rewritten(graph, (rewrite,), only=place)
    yield from algebra.candidates(graph)


def _rewritten(graph: Graph, rewrites: tuple[Rewrite, ...], only: int | None = None) -> Graph:
    def build(new: Graph, index: int, args: tuple[Ref, ...]) -> Ref:
        op = graph.nodes[index].op
        if only is None or index == only:
            for rewrite in rewrites:
                try:
                    result = rewrite(new, op, args)
                except ValueError:  # a constant beyond the range of float32
                    continue
                if result is not None:
                    return result
        return new.add(op, *args)

    return graph.mapped(build)


def _trajectory(program: Program) -> list[np.ndarray]:
    """The updates of a few steps on fixed inputs: all sizes and signs, and zeros."""
    draw = np.random.default_rng(20)
    states = {name: [np.zeros(shape) for shape in SHAPES] for name in program.states}
    updates = []
    for step in range(1, STEPS + 1):
        w, g = ([_probe(draw, shape) for shape in SHAPES] for _ in "wg")
        if step == 3:
            g = [0 * x for x in g]
        update, states = run(program, w, g, states, 0.01 * step, step)
        updates.append(np.concatenate([np.ravel(x) for x in update]))
    return updates


def _probe(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = draw.normal(size=shape) * 10.0 ** draw.integers(-3, 3, size=shape)
    return np.where(draw.random(shape) < 0.15, 0.0, values)


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether two trajectories agree, with NaN and infinities at the same places."""
    return all(
        np.allclose(x, y, rtol=TOLERANCE, atol=1e-30, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )
