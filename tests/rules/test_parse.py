"""Rule text: what is read comes back, and what is wrong is said where it stands."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import programs

from metaopt.rules import RuleError, parse, read
from metaopt.rules.ops import OPS
from metaopt.rules.program import constant

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False).map(constant)


@settings(max_examples=150)
@given(programs(20, hyperparameters={"h": 0.9, "eps": 1e-8}))
def test_parse_reads_what_str_writes(program):
    assert parse(str(program)) == program


@settings(max_examples=100)
@given(st.lists(FLOATS, min_size=1, max_size=6), FLOATS)
def test_constants_survive(values, default):
    lines = [f"  u = {value!r} * g" for value in values]
    text = "\n".join([f"def f(w, g, lr, h={default!r}):", *lines, "  u = u * h", "  return u"])
    program = parse(text)
    assert [c for _, _, c in program.constants()] == values
    assert parse(str(program)) == program


def test_a_docstring_survives():
    doc = '    """One.\n\n    Two:\n      three.\n    """\n'
    program = parse(f"def f(w, g, lr):\n{doc}    u = lr * g\n    return u\n")
    assert program.doc == "One.\n\nTwo:\n  three."
    assert parse(str(program)) == program


HEAD = "def f(w, g, m, lr):\n"
WRONG = [
    ("u = lr * g\n", 1, 1, "exactly one function"),
    ("def f(w, g, lr):\n  u = lr ** g\n  return u", 2, 7, "expected one operation"),
    (HEAD + "  u = lin(g)\n  return u, m", 2, 7, "did you mean sin"),
    (HEAD + "  u = sin(g, m)\n  return u, m", 2, 7, "takes 1 arguments, not 2"),
    (HEAD + "  u = sin(x=g)\n  return u, m", 2, 7, "takes 1 argument|no keyword"),
    (HEAD + "  u = x + g\n  return u, m", 2, 3, "'x' is used before"),
    (HEAD + "  u = interp(g, m, g)\n  return u, m", 2, 3, "must be a scalar"),
    (HEAD + "  u = sin(sin(g))\n  return u, m", 2, 11, "give inner results a name"),
    (HEAD + "  u = g + 1e60\n  return u, m", 2, 11, "beyond the range of float32"),
    (HEAD + "  u = g + True\n  return u, m", 2, 11, "a name or a number"),
    (HEAD + "  u = lr * g\n  return u", 3, 3, "2 in all"),
    (HEAD + "  u = lr * g\n", 2, 3, "must be `return"),
    (HEAD + "  u, m = g\n  return u, m", 2, 3, "assigns one name"),
    (HEAD + "  sin = g + g\n  return g, m", 2, 3, "is an operation"),
    (HEAD + "  u = lr * g\n  return u, q", 3, 3, "'q' is returned but never defined"),
    (HEAD + "  u = = g\n  return u, m", 2, 7, "not valid Python"),
    ("def f(w, lr):\n  u = lr * w\n  return u", 1, 1, "w, g|parameters"),
    ("@x\ndef f(w, g, lr):\n  return g", 2, 1, "no decorators"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), WRONG)
def test_errors_name_the_place_and_what_to_do(text, line, column, message):
    with pytest.raises(RuleError, match=message) as caught:
        parse(text, "my.rule")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"my.rule:{line}:{column}: ")


HOSTILE = [
    "",
    "\0",
    "(" * 5000,
    "x = " + "-" * 20_000 + "1",
    "def f(w, g, lr):\n  u = __import__('os').system('echo')\n  return u",
    "def f(w, g, lr):\n  u = g + " + "9" * 5000 + "\n  return u",
    "def f(w, g, lr):\n  u = g.__class__\n  return u",
    "def f(w, g, lr=exit()):\n  return g",
    "def f(w, g, *a, lr):\n  return g",
    "def f(w, g, lr):\n" + "  u = lr * g\n" * 300 + "  return u",
    f"def f(w, g, {', '.join(f's{i}' for i in range(50))}, lr):\n  return g",
    "def " + "f" * 100 + "(w, g, lr):\n  return g",
    "def f(w, g, lr):\n  return g\nprint('x')",
    "#" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_refused(text):
    with pytest.raises(RuleError):
        parse(text)


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_any_text_is_a_rule_or_a_rule_error(text):
    with pytest.raises(RuleError):
        parse(text)


def test_read_refuses_what_is_no_rule_file(tmp_path):
    path = tmp_path / "big.rule"
    path.write_bytes(b"x" * 1_000_000)
    with pytest.raises(RuleError, match="bytes"):
        read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match="UTF-8"):
        read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.rule")


def test_the_language_has_the_published_functions():
    assert len(OPS) == 45


@given(st.text(alphabet=" \t\n\r\x0c\"'ab\\\xa0\u2028", max_size=12) | st.text(max_size=9))
@example('it ends in "quotes"')
@example("\n    further in\n  less so")
@example("a\rb")
def test_a_docstring_is_refused_or_survives_being_written(doc):
    text = f"def f(w, g, lr):\n  {doc!r}\n  u = lr * g\n  return u\n"
    try:
        program = parse(text)
    except RuleError as error:
        assert "a docstring holds no" in str(error)  # noqa: PT017
    else:
        assert parse(str(program)) == program


@pytest.mark.parametrize("name", ["learning_rate", "program", "name_or_path", "hyperparameters"])
def test_hyperparameters_that_could_not_be_set_are_refused(name):
    with pytest.raises(RuleError, match=f"a hyperparameter named '{name}' could not be set"):
        parse(f"def f(w, g, lr, {name}=0.5):\n  u = {name} * g\n  return u\n")
