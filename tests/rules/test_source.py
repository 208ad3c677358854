"""The exported source: what it computes, and whether a person would sign it."""

import importlib.util
import inspect
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from strategies import SHAPES, agree, inputs, programs, spread

from metaopt.rules import library, parse, to_source, transform
from metaopt.rules.source import exported_name, learning_rate_scale


def load(source, name="exported"):
    """The module of some source, imported from a file as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def run_steps(optimizer, steps):
    state = optimizer.init([jnp.zeros(s) for s in SHAPES])
    found = []
    for w, g in steps:
        w, g = ([jnp.asarray(x) for x in xs] for xs in (w, g))
        updates, state = optimizer.update(g, state, w)
        found.append(-np.concatenate([np.ravel(x) for x in updates]))
    return found


@settings(max_examples=120)
@given(programs(12, hyperparameters={"h": 0.5}))
def test_means_what_the_reference_means(program):
    module = load(to_source(program, name="found"))
    steps = list(inputs())
    _, scale = learning_rate_scale(program)
    with jax.enable_x64(True):
        found = run_steps(module.found(0.125 * scale), steps)
    agree(found, spread(program, steps, 0.125))


@pytest.mark.parametrize("name", library.names())
def test_the_librarys_rules_mean_what_their_transforms_mean(name):
    program = library.get(name)
    source = to_source(program, name=name, provenance="The library.")
    _, scale = learning_rate_scale(program)
    steps = list(inputs(5))
    with jax.enable_x64(True):
        a = run_steps(getattr(load(source), name)(lambda count: 0.01 * scale), steps)
        b = run_steps(transform(program, 0.01), steps)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", library.names())
def test_states_keep_their_types(name, dtype):
    make = getattr(load(to_source(library.get(name), name=name)), name)
    params = {"a": jnp.ones((2, 3), dtype), "b": jnp.ones((), dtype)}
    optimizer = make(optax.constant_schedule(0.1))
    state = optimizer.init(params)
    updates, new = jax.jit(optimizer.update)(params, state, params)
    assert jax.tree.map(jnp.result_type, new) == jax.tree.map(jnp.result_type, state)
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)
    assert jax.tree.map(jnp.result_type, updates) == jax.tree.map(jnp.result_type, params)


def test_corrections_of_the_step_are_cast_as_optax_casts_them():
    params = {"a": jnp.linspace(0.1, 2.0, 7, dtype=jnp.bfloat16)}
    ours, theirs = load(to_source(library.get("adam"))).adam(0.1), optax.adam(0.1)
    a, _ = ours.update(params, ours.init(params), params)
    b, _ = theirs.update(params, theirs.init(params), params)
    assert a["a"].dtype == b["a"].dtype == jnp.bfloat16
    np.testing.assert_allclose(a["a"].astype(float), b["a"].astype(float), rtol=0.01)
    assert "asarray" not in to_source(library.get("adam")).split("Args:")[2]  # the equations


def test_a_long_chain_of_shared_scalars_is_written_soon():
    chain = "".join(f"  a{i + 1} = a{i} + a{i}\n" for i in range(60))
    text = f"def f(w, g, lr):\n  a0 = lr + 1\n{chain}  u = a60 * g\n  return u\n"
    assert len(to_source(parse(text)).splitlines()) < 200  # written out it would be 2^60 terms


@pytest.mark.parametrize("u", ["a + 0.0", "t * a"])
def test_what_has_a_value_a_tensor_without_reading_one(u):
    text = f"def f(w, g, lr, t):\n  a = norm(2.0)\n  u = {u}\n  u = lr * u\n  return u\n"
    params = [jnp.ones((3, 3)), jnp.ones((4,), jnp.bfloat16)]
    optimizer = load(to_source(parse(text), name="found")).found(0.5)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    for leaf, norm in zip(updates, (6.0, 4.0), strict=True):
        np.testing.assert_array_equal(leaf, np.full(leaf.shape, -0.5 * norm))
    assert jax.tree.map(jnp.result_type, updates) == jax.tree.map(jnp.result_type, params)


def _python(*args):
    return subprocess.run([sys.executable, "-m", *args], capture_output=True, text=True)


def test_is_formatted_and_clean(tmp_path):
    count = iter(range(10**6))

    for name in library.names():
        source = to_source(library.get(name), name=name, learning_rate=0.01, provenance="x " * 99)
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")

    @settings(max_examples=60, database=None)
    @given(programs(20, hyperparameters={"h": 0.5, "a_name_of_some_length": 0.9}))
    def write(program):
        (tmp_path / f"generated_{next(count)}.py").write_text(to_source(program), encoding="utf-8")

    write()
    done = _python("ruff", "format", "--isolated", "--line-length", "100", "--diff", str(tmp_path))
    assert done.returncode == 0, done.stdout
    rules = "E,F,W,I,UP,B,D,SIM,RUF,C4,PIE,RET"
    options = ["--line-length", "100", "--config", "lint.pydocstyle.convention='google'"]
    ignored = ["--ignore", "RET504,RUF001,RUF002,RUF003"]
    done = _python(
        "ruff", "check", "--isolated", "--select", rules, *ignored, *options, str(tmp_path)
    )
    assert done.returncode == 0, done.stdout


LION = """
    def init(params):
        return ScaleByLionState(m=optax.tree.zeros_like(params))

    def update(updates, state, params=None):
        del params
        direction = jax.tree.map(lambda g, m: jnp.sign(b1 * m + (1 - b1) * g), updates, state.m)
        m = jax.tree.map(lambda g, m: b2 * m + (1 - b2) * g, updates, state.m)
        return direction, ScaleByLionState(m=m)

    return optax.GradientTransformation(init, update)
"""
CHAIN = """
    return optax.chain(
        scale_by_lion(b1=b1, b2=b2),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
"""


def test_lion_reads_as_if_written_by_hand():
    source = to_source(library.get("lion"))
    assert LION in source
    assert CHAIN in source


def test_lion_as_found_is_lion():
    found = parse("""
def found(w, g, m, lr):
    u = interp(g, m, 0.9)
    u = sign(u)
    m = interp(g, m, 0.99)
    wd = w * 0.001
    u = u + wd
    lr = lr * 0.0002
    u = u * lr
    return u, m
""")
    source = to_source(found, name="lion", learning_rate=0.5)
    assert LION in source
    assert CHAIN in source
    assert "found with learning_rate = 0.0002 times its schedule" in " ".join(source.split())
    signature = inspect.signature(load(source).lion)
    defaults = {n: p.default for n, p in signature.parameters.items()}
    assert defaults == {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.99, "weight_decay": 0.001}


def test_the_scale_of_the_learning_rate():
    start = library.get("adamw_no_bias_correction")
    rest, scale = learning_rate_scale(start)
    assert scale == 0.001
    assert len(rest.body) == len(start.body) - 1
    assert learning_rate_scale(rest) == (rest, 1.0)
    twice = parse("def f(w, g, lr):\n  a = lr * 0.5\n  u = a * g\n  u = u + lr\n  return u")
    assert learning_rate_scale(twice) == (twice, 1.0)


def test_absolute_values_go_only_where_they_do_nothing():
    lines = ["g2 = square(g)", "v = interp(g2, v, {})", "u = sqrt(v)", "return u, v"]
    rule = "\n  ".join(["def f(w, g, v, lr):", *lines])
    assert "abs" not in to_source(parse(rule.format(0.9)))
    assert "abs" in to_source(parse(rule.format(1.109)))


@pytest.mark.parametrize("name", ["lion", "adam", "sgd"])
def test_the_example_runs(name):
    module = load(to_source(library.get(name), name=name, learning_rate=0.1))
    lines = inspect.getdoc(getattr(module, name)).split("Example:")[1].split("\n")
    code = "\n".join(line.strip().removeprefix(">>> ") for line in lines)
    scope = dict(vars(module))
    exec(code, scope)
    assert np.all(np.isfinite(scope["params"]["w"]))


def test_parameters_are_asked_for():
    text = "def f(w, g, lr):\n  u = sin(w)\n  u = u * g\n  u = lr * u\n  return u"
    optimizer = load(to_source(parse(text), name="rule")).rule(0.1)
    with pytest.raises(ValueError, match="rule needs the parameters"):
        optimizer.update([jnp.ones(2)], optimizer.init([jnp.ones(2)]))


@pytest.mark.parametrize("name", ["jax", "optax", "state", "update", "init", "callable", "Any"])
def test_any_name_will_do(name):
    for rule in ("adam", "add_sign"):
        source = to_source(library.get(rule), name=name)
        make = getattr(load(source), exported_name(name))
        assert exported_name(name) == f"{name}_"
        optimizer = make(optax.constant_schedule(0.1))
        optimizer.update({}, optimizer.init({}), {})
    assert exported_name("lion") == "lion"


@pytest.mark.parametrize("name", ["", "a b", "def", "1"])
def test_a_name_must_be_one(name):
    with pytest.raises(ValueError, match="name of a function"):
        to_source(library.get("adam"), name=name)


def test_awkward_variable_names():
    text = (
        "def f(w, g, updates, params, _m, count, lr, float=0.5, jnp=0.25):\n  l = float * g\n"
        "  state = jnp * l\n  sum = updates + state\n  params = sum + params\n"
        "  _m = interp(_m, sum, jnp)\n  count = count + _m\n  u = lr * count\n"
        "  u = u + params\n  return u, sum, params, _m, count"
    )
    program = parse(text)
    steps = list(inputs())
    module = load(to_source(program, name="awkward"))
    with jax.enable_x64(True):
        agree(run_steps(module.awkward(0.125), steps), spread(program, steps, 0.125))
