"""Generated rules, inputs to run them on, and what it means that two readings of a rule agree."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from metaopt.rules.ops import OPS, Extent
from metaopt.rules.program import Argument, Assign, Program
from metaopt.rules.reference import run

DYADIC = (0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0, 1.5, 2.0, 3.0, -0.5, -1.0, -2.0, 4.0)
"""Constants whose sums and products are exact in float32."""

NAMES = ("a", "b", "c", "d")
SHAPES = ((), (3,), (2, 3))


@st.composite
def programs(
    draw: st.DrawFn,
    max_statements: int = 12,
    states: Sequence[str] = ("m", "v"),
    constants: Sequence[float] = DYADIC,
    operations: Iterable[str] = tuple(OPS),
    hyperparameters: Mapping[str, float] | None = None,
    step: bool = True,
) -> Program:
    """Valid rules by construction, over any variables, inputs assigned anew among them."""
    names = list(operations)
    tensor = dict.fromkeys(("w", "g", *states), Extent.TENSOR)
    extents = tensor | {"lr": Extent.SCALAR} | dict.fromkeys(hyperparameters or (), Extent.SCALAR)
    if step:
        extents["t"] = Extent.SCALAR
    body: list[Assign] = []

    def argument(scalar: bool) -> Argument:
        known = [n for n, e in extents.items() if not scalar or e is Extent.SCALAR]
        kind = draw(st.integers(0, 7))
        if kind < (4 if scalar else 1) or not known:
            return draw(st.sampled_from(list(constants)))
        # What was computed last, so that long chains are common and dead statements are not.
        if kind > 4 and body and body[-1].target in known:
            return body[-1].target
        return draw(st.sampled_from(known))

    for _ in range(draw(st.integers(1, max_statements))):
        op = OPS[draw(st.sampled_from(names))]
        args = tuple(argument(i in op.scalar_args) for i in range(op.arity))
        target = draw(st.sampled_from([*NAMES, *extents]))
        known = (extents[a] if isinstance(a, str) else Extent.SCALAR for a in args)
        extents[target] = op.result(tuple(known))
        body.append(Assign(target, op.name, args))
    outputs = [draw(st.sampled_from(sorted(extents, reverse=True))) for _ in (0, *states)]
    if draw(st.integers(0, 3)):
        outputs[0] = body[-1].target
    given = tuple((hyperparameters or {}).items())
    return Program("rule", tuple(states), tuple(body), tuple(outputs), given)


def inputs(steps: int = 3, shapes: Sequence[tuple[int, ...]] = SHAPES, seed: int = 0):
    """For each step parameters and gradients: short dyadic numbers, with zeros and both signs."""
    random = np.random.default_rng(seed)

    def values(shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(random.integers(-24, 24, size=shape) / 8.0)

    for _ in range(steps):
        yield [values(s) for s in shapes], [values(s) for s in shapes]


def spread(
    program: Program,
    steps: Sequence[tuple[list[np.ndarray], list[np.ndarray]]],
    lr: float,
    hyperparameters: Mapping[str, float] | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The updates by the float64 reference, flat, and how far each hangs on rounding.

    The reference is run in long double with double's range, and in double with every result moved
    by a few units in the last place, subnormal numbers made zero and zeros' signs turned. Where
    these disagree on NaN or infinity, the spread is infinite.
    """
    random = np.random.default_rng(1)
    limits = np.finfo(np.float64)

    def double_range(x: np.ndarray) -> np.ndarray:
        big = np.where(np.abs(x) > limits.max, np.sign(x) * np.inf, x)
        return np.where(np.abs(big) < limits.smallest_subnormal / 2, 0 * big, big)

    def jitter(x: np.ndarray) -> np.ndarray:
        moved = x * (1 + 8 * limits.eps * random.uniform(-1, 1, np.shape(x)))
        return np.where(np.abs(x) < limits.tiny, -0.0 * np.sign(1 / (x + (x == 0) * 1.0)), moved)

    def shift(x: np.ndarray) -> np.ndarray:
        return x * (1 + 4 * limits.eps)

    exact = updates(program, steps, lr, hyperparameters)
    others = [
        updates(program, steps, lr, hyperparameters, np.longdouble, double_range),
        updates(program, steps, lr, hyperparameters, np.float64, jitter),
        updates(program, steps, lr, hyperparameters, np.float64, shift),
    ]
    widths = []
    for i, x in enumerate(exact):
        width = np.zeros_like(x)
        for other in others:
            width = np.maximum(width, _distance(x, other[i].astype(np.float64)))
        widths.append(width)
    return exact, widths


def updates(program, steps, lr, hyperparameters=None, dtype=np.float64, rounding=None):
    """The reference's updates on some steps, each as one flat array."""
    first = steps[0][0]
    states = {name: [np.zeros(np.shape(x)) for x in first] for name in program.states}
    flat = []
    for t, (w, g) in enumerate(steps, 1):
        update, states = run(program, w, g, states, lr, t, hyperparameters, dtype, rounding)
        flat.append(np.concatenate([np.ravel(x) for x in update]))
    return flat


def _distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        both = (np.isnan(x) & np.isnan(y)) | (x == y)
        return np.where(both, 0.0, np.where(np.isfinite(x - y), np.abs(x - y), np.inf))


def agree(
    found: Sequence[np.ndarray],
    expected: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    rtol: float = 1e-9,
    atol: float = 1e-12,
) -> None:
    """Assert that a reading's updates are those of the reference.

    Args:
      found: for each step, the updates as one flat array.
      expected: what `spread` returns. Values may differ by a multiple of their spread; those whose
        spread is infinite, or far beyond their size, say nothing. All others must agree, NaN and
        infinities included.
      rtol: tolerance in proportion to the value, for what the reading's precision is.
      atol: absolute tolerance.
    """
    for step, (x, y, width) in enumerate(zip(found, *expected, strict=True), 1):
        x = np.asarray(x, np.float64)
        with np.errstate(all="ignore"):
            sure = width <= 1e-6 * np.maximum(1.0, np.where(np.isfinite(y), np.abs(y), 1.0))
            room = 1e3 * width + rtol * np.where(np.isfinite(y), np.abs(y), 0.0) + atol
            wrong = sure & (_distance(x, y) > room)
        if wrong.any():
            places = np.flatnonzero(wrong)
            raise AssertionError(
                f"step {step}: elements {places.tolist()} are {x[places]}, not {y[places]} "
                f"(spread {width[places]})"
            )
