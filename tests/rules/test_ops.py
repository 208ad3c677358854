"""The table of operations: which there are, and that their meanings are one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from metaopt.rules.ops import (
    ARITY,
    BY_CODE,
    EPS,
    MAX_ARITY,
    OPS,
    REDUCES,
    TAKES_SCALAR,
    Extent,
    Reduces,
)

PUBLISHED = """
    + - * / max min
    pi e eps
    abs cos sin tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 exp10
    expm1 log log10 log2 log1p square sqrt cube cbrt sign reciprocal norm invert negative
    global_norm dot cosine_sim power clip_by_global_norm interp
""".split()  # noqa: SIM905
"""The 45 functions of Lion's search space, arXiv 2302.06675."""

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-20, 1e-30, 0.5, -0.5, 2.0, -3.0, 30.0]
HUGE = [1e5, -1e5, 1e18, -1e18, 1e30, -1e30, 3e38, -3e38]
ELEMENTWISE = [op.name for op in BY_CODE if op.reduces is Reduces.NOTHING]
REDUCING = [op.name for op in BY_CODE if op.reduces is not Reduces.NOTHING]
SCALAR = {"interp": 2, "clip_by_global_norm": 1}


def arguments(op, count, dtype, seed=0):
    """Random magnitudes of both signs, then every combination of special values."""
    random = np.random.default_rng(seed)
    values = np.exp(random.normal(0, 2, (count, 500))) * random.choice([-1, 1], (count, 500))
    special = np.array(SPECIAL + HUGE)
    grid = np.stack([x.ravel() for x in np.meshgrid(*[special] * count)]) if count else values
    return list(np.concatenate([values, grid], axis=1).astype(dtype))


def same(a, b, rtol, args):
    """Equal within a tolerance, NaN and infinities too; zeros' signs count, where defined."""
    a, b = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    with np.errstate(all="ignore"):
        equal = np.isclose(a, b, rtol=rtol, atol=0, equal_nan=True)
        equal &= (np.signbit(a) == np.signbit(b)) | np.isnan(a)
    bad = np.flatnonzero(~equal)[:5]
    assert not len(bad), f"at {[x.flat[bad] for x in args]}: {a.flat[bad]}, {b.flat[bad]}"


def test_the_table_has_the_published_functions():
    assert len(PUBLISHED) == 45
    assert set(OPS) == set(PUBLISHED)
    assert len(BY_CODE) == 45


def test_codes_and_columns_are_those_of_the_rows():
    for code, op in enumerate(BY_CODE):
        assert op.code == code
        assert OPS[op.name] is op
        assert ARITY[code] == op.arity <= MAX_ARITY == TAKES_SCALAR.shape[1]
        assert REDUCES[code] == op.reduces
        assert tuple(np.flatnonzero(TAKES_SCALAR[code])) == op.scalar_args
        assert op.scalar_args == ((SCALAR[op.name],) if op.name in SCALAR else ())


@pytest.mark.parametrize("name", list(OPS))
def test_arity_is_what_the_functions_take(name):
    op = OPS[name]
    args = [np.ones(3)] * op.arity
    total = [] if op.reduces is Reduces.NOTHING else [np.sum]
    for function in (op.numpy, op.jax):
        with np.errstate(all="ignore"):
            function(*total, *args)
        with pytest.raises((TypeError, ValueError)):
            function(*total, *args, *[np.ones(3)] * 5)
    fields = {f"{{{i}}}" for i in range(3) if f"{{{i}}}" in op.source}
    assert fields == {f"{{{i}}}" for i in range(op.arity)}


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numpy_and_jax_agree(name, double):
    op = OPS[name]
    dtype, rtol = (np.float64, 1e-12) if double else (np.float32, 2e-5)
    args = arguments(op, op.arity, dtype)
    with jax.enable_x64(double), np.errstate(all="ignore"):
        ours = np.asarray(op.numpy(*args), dtype)
        theirs = np.asarray(jax.jit(op.jax)(*map(jnp.asarray, args)))
        if op.arity:
            assert ours.dtype == theirs.dtype == dtype
    # XLA makes numbers zero that are too small for a full mantissa, as arguments and as results.
    tiny = np.finfo(dtype).tiny
    keep = np.ones(ours.shape, bool)
    for x in (*args, ours):
        keep &= ~((np.abs(x) < 4 * tiny) & (x != 0))
    if name in ("max", "min"):  # which of 0 and -0 is larger, neither library defines
        keep &= ~((args[0] == 0) & (args[1] == 0))
    if name in ("cos", "sin", "tan") and not double:  # beyond 2^17 there is no such promise
        keep &= ~(np.abs(args[0]) > 1e5)
    if name == "interp":  # XLA rounds the sum once less, which shows where it cancels or overflows
        with np.errstate(all="ignore"):
            x, y, a = (np.where(np.isfinite(v), np.abs(v), 0) for v in args)
            largest = np.maximum(x, y) * np.maximum(1, a)
            keep &= (largest < 1e38) & ~(np.abs(ours) <= 1e-3 * largest)
    args = [x[keep] for x in args]
    same(ours[keep], theirs[keep] if theirs.ndim else theirs, rtol, args)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numpy_and_sympy_agree(name):
    op = OPS[name]
    symbols = sympy.symbols("x y z", real=True)[: op.arity]
    expression = sympy.sympify(op.sympy(*symbols))
    random = np.random.default_rng(1)
    points = random.choice([-2.5, -1.0, -0.75, -0.25, 0.25, 0.5, 1.0, 1.75, 3.0], (40, op.arity))
    checked = 0
    for point in points:
        with np.errstate(all="ignore"):
            ours = float(op.numpy(*point))
        exact = expression.subs(dict(zip(symbols, map(sympy.Float, point), strict=True)))
        if exact.is_infinite or exact is sympy.zoo or not exact.is_real:
            assert not np.isfinite(ours)
            continue
        checked += 1
        np.testing.assert_allclose(ours, float(exact), rtol=1e-12, atol=1e-15)
    assert checked >= 4


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("log", (-np.e,), 1.0),
        ("log1p", (-3.0,), np.log(2.0)),
        ("sqrt", (-4.0,), 2.0),
        ("/", (1.0, 0.0), 1 / EPS),
        ("invert", (3.0,), float(~3)),
        ("invert", (-8.0,), float(~-8)),
        ("interp", (2.0, 4.0, 0.25), 2.5),
        ("cbrt", (-8.0,), -2.0),
        ("cube", (-2.0,), -8.0),
        ("exp10", (-2.0,), 0.01),
        ("reciprocal", (4.0,), 0.25),
        ("eps", (), 1e-8),
    ],
)
def test_meanings_worked_out_by_hand(name, args, value):
    with jax.enable_x64(True):
        np.testing.assert_allclose(OPS[name].numpy(*map(np.float64, args)), value, rtol=1e-12)
        np.testing.assert_allclose(OPS[name].jax(*map(jnp.float64, args)), value, rtol=1e-12)


def by_hand(name, x, y):
    """A reduction over vectors in plain Python."""
    squares = [sum(float(a) ** 2 for a in v) for v in (x, y)]
    dot = sum(float(a) * float(b) for a, b in zip(x, y, strict=True))
    if name in ("norm", "global_norm"):
        return squares[0] ** 0.5
    if name == "dot":
        return dot
    if name == "cosine_sim":
        return dot / (squares[0] ** 0.5 * squares[1] ** 0.5 + EPS)
    return None


@pytest.mark.parametrize("name", REDUCING)
def test_reductions_mean_the_same(name):
    op = OPS[name]
    random = np.random.default_rng(2)
    cases = [random.normal(size=(2, 6)) * scale for scale in (1e-3, 1.0, 1e3)]
    cases += [np.zeros((2, 6)), np.stack([np.zeros(6), np.ones(6)])]
    with jax.enable_x64(True), np.errstate(all="ignore"):
        for x, y in cases:
            args = [x, y][: op.arity]
            if op.scalar_args:
                args[1] = np.float64(2.5)
            ours = op.numpy(np.sum, *args)
            theirs = op.jax(jnp.sum, *map(jnp.asarray, args))
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)
            expected = by_hand(name, x, y)
            if expected is None:
                norm = by_hand("norm", x, y)
                expected = x if norm <= 2.5 else x * 2.5 / norm
            np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("name", [op.name for op in BY_CODE if op.commutative])
def test_commutative_means_that_arguments_may_be_exchanged(name):
    op = OPS[name]
    x, y = arguments(op, 2, np.float64)
    if op.reduces is not Reduces.NOTHING:
        x, y = x[:500], y[:500]
    total = [] if op.reduces is Reduces.NOTHING else [np.sum]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(op.numpy(*total, x, y), op.numpy(*total, y, x))


@pytest.mark.parametrize("name", ["-", "/", "power"])
def test_what_is_not_commutative_is_not_marked(name):
    assert not OPS[name].commutative
    assert OPS[name].numpy(2.0, 3.0) != OPS[name].numpy(3.0, 2.0)


def test_extents_of_results():
    s, p, t = Extent.SCALAR, Extent.PER_TENSOR, Extent.TENSOR
    assert OPS["+"].result((s, s)) == s
    assert OPS["+"].result((p, s)) == p
    assert OPS["*"].result((p, t)) == t
    assert OPS["pi"].result(()) == s
    assert OPS["norm"].result((t,)) == p
    assert OPS["norm"].result((s,)) == p
    assert OPS["global_norm"].result((t,)) == s
    assert OPS["dot"].result((t, p)) == s
    assert OPS["clip_by_global_norm"].result((p, s)) == p
    assert OPS["clip_by_global_norm"].result((t, s)) == t
    assert OPS["interp"].result((s, t, s)) == t
