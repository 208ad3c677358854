"""Simplification keeps the meaning; the canonical form sees what is the same."""

import pytest
from hypothesis import given, settings
from strategies import agree, inputs, programs, spread, updates

from metaopt.rules import canonical, library, parse, simplify
from metaopt.rules.check import check, without_dead_code


def body(text, signature="w, g, lr"):
    lines = "\n".join(f"  {line.strip()}" for line in text.strip().split("\n"))
    return parse(f"def f({signature}):\n{lines}")


@settings(max_examples=60)
@given(programs(12, hyperparameters={"h": 0.5}))
def test_keeps_the_meaning_in_fewer_statements(program):
    short = simplify(program)
    assert check(short) is None
    assert parse(str(short)) == short
    assert len(short.body) <= len(without_dead_code(program).body)
    steps = list(inputs(4, seed=3))
    agree(updates(short, steps, 0.125), spread(program, steps, 0.125), rtol=2e-6, atol=1e-6)


@settings(max_examples=100)
@given(programs(12, hyperparameters={"h": 0.5}))
def test_the_canonical_form_keeps_the_meaning_and_is_one(program):
    form = canonical(program)
    assert check(form) is None
    assert parse(str(form)) == form
    assert canonical(form) == form
    steps = list(inputs(3, seed=4))
    agree(updates(form, steps, 0.125), spread(program, steps, 0.125))


SHORTER = [
    ("a = g * 1\n u = lr * a\n return u", 1),
    ("a = negative(g)\n b = negative(a)\n u = lr * b\n return u", 1),
    ("a = 0.25 + 0.5\n a = a * 2\n u = a * g\n return u", 1),
    ("a = g + w\n b = g + w\n u = a * b\n return u", 2),
    ("a = interp(g, w, 0)\n u = lr * a\n return u", 1),
    ("a = sin(lr)\n u = lr * g\n return u", 1),
    ("a = g + w\n a = a - w\n u = lr * a\n return u", 1),
    ("a = g * g\n a = sqrt(a)\n a = sqrt(a)\n u = a * lr\n return u", 2),
    ("a = 2 * g\n a = 3 * a\n a = sign(a)\n u = lr * a\n return u", 2),
    ("a = lr * w\n b = w * lr\n u = a - b\n u = u + g\n return u", None),
]


@pytest.mark.parametrize(("text", "length"), SHORTER)
def test_shortens(text, length):
    short = simplify(body(text))
    assert len(short.body) <= (length or 3)


def test_a_guarded_division_stays():
    text = "a = square(g)\n a = sqrt(a)\n u = g / a\n return u"
    short = simplify(body(text))
    assert [s.op for s in short.body] == ["abs", "/"]


def test_the_programs_names_stay():
    assert simplify(library.get("lion")) == library.get("lion")
    text = "both = g + w\n a = negative(both)\n b = negative(a)\n u = lr * b\n return u"
    assert [s.target for s in simplify(body(text)).body] == ["both", "u"]


def test_what_cannot_be_shortened_stays_as_it_is_however_deep():
    lines = ["x = g * w", *(f"x = {op}(x)" for op in ("sin", "exp", "cube", "exp") * 20)]
    deep = body("\n".join([*lines, "u = lr * x", "return u"]))
    assert [s.op for s in simplify(deep).body] == [s.op for s in deep.body]


SAME = [
    ("u = g + w\n return u", "z = w + g\n return z"),
    (
        "a = 0.1 * g\n b = sin(w)\n u = a + b\n return u",
        "b = sin(w)\n a = g * 0.1\n u = b + a\n return u",
    ),
    ("a = sin(g)\n b = sin(g)\n u = a * b\n return u", "a = sin(g)\n u = a * a\n return u"),
    (
        "a = g * 0.1\n u = a + w\n return u",
        "q = cos(g)\n a = g * 0.10000000001\n u = w + a\n return u",
    ),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_canonical_form_sees_what_is_the_same(a, b):
    assert canonical(body(a)) == canonical(body(b))


DIFFERENT = [
    ("u = g - w\n return u", "u = w - g\n return u"),
    ("u = g * 0.1\n return u", "u = g * 0.2\n return u"),
    ("u = interp(g, w, 0.5)\n return u", "u = interp(w, g, 0.5)\n return u"),
]


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_the_canonical_form_tells_what_differs(a, b):
    assert canonical(body(a)) != canonical(body(b))
