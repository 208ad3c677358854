"""Every rule of the library against its Optax namesake, or its paper's recurrence, step by step."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt.baselines import BASELINES
from metaopt.rules import library, parse, transform
from metaopt.rules.reference import run
from metaopt.rules.source import learning_rate_scale

STEPS = 25
RATE = 0.01
SHAPES = ((), (4,), (3, 5), (2, 1, 3))


def _recurrence(step: Callable) -> Callable:
    """A numpy recurrence `step(w, g, m, v) -> (update, m, v)` as an Optax transformation."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return zeros, zeros

    def update(updates, state, params=None):
        ws, gs, ms, vs = params, updates, *state
        out = [step(*leaves) for leaves in zip(ws, gs, ms, vs, strict=True)]
        update, m, v = ([o[i] for o in out] for i in range(3))
        return [-RATE * u for u in update], (m, v)

    return lambda: optax.GradientTransformation(init, update)


def _adam(w, g, m, v, decay=0.0):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return m / (v**0.5 + 1e-8) + decay * w, m, v


def _adagrad(w, g, m, v):
    v = v + g * g
    return g / (v**0.5 + 1e-10), m, v


def _adamw_start(w, g, m, v):
    u, m, v = _adam(w, g, m, v, 0.01)
    return 0.001 * u, m, v


def _power_sign(w, g, m, v):
    m = 0.9 * m + 0.1 * g
    return jnp.e ** (jnp.sign(g) * jnp.sign(m)) * g, m, v


def _add_sign(w, g, m, v):
    m = 0.9 * m + 0.1 * g
    return (1 + jnp.sign(g) * jnp.sign(m)) * g, m, v


NAMESAKES = {
    "sgd": partial(optax.sgd, RATE),
    "momentum": partial(optax.sgd, RATE, momentum=0.9),
    "nesterov": partial(optax.sgd, RATE, momentum=0.9, nesterov=True),
    "sign_gd": partial(optax.sign_sgd, RATE),
    "signum": partial(optax.signum, RATE, beta=0.9),
    "rmsprop": partial(optax.rmsprop, RATE, eps_in_sqrt=False),
    "adagrad": _recurrence(_adagrad),
    "adam": partial(optax.adam, RATE),
    "adamw": partial(optax.adamw, RATE),
    "lion": partial(optax.lion, RATE),
    "ada_belief": partial(optax.adabelief, RATE),
    "adam_no_bias_correction": _recurrence(_adam),
    "adamw_no_bias_correction": _recurrence(_adamw_start),
    "power_sign": _recurrence(_power_sign),
    "add_sign": _recurrence(_add_sign),
}


def test_every_rule_has_a_namesake():
    assert set(NAMESAKES) == set(library.names())


@pytest.mark.parametrize("name", library.names())
def test_a_rule_file_is_in_the_house_form(name):
    program = library.get(name)
    assert program.doc
    assert parse(str(program)) == program
    assert program.name == name


@pytest.mark.parametrize("name", library.names())
def test_compiled_and_reference_follow_the_namesake(name):
    program = library.get(name)
    draw = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = [jnp.asarray(draw.normal(size=s)) for s in SHAPES]
        compiled, namesake = transform(program, RATE), NAMESAKES[name]()
        ours, theirs = compiled.init(params), namesake.init(params)
        states = {s: [np.zeros(shape) for shape in SHAPES] for s in program.states}
        for step in range(STEPS):
            grads = [jnp.asarray(draw.normal(size=s) * 10.0 ** (step % 4 - 2)) for s in SHAPES]
            grads[1] = grads[1].at[0].set(0.0)
            expected, theirs = namesake.update(grads, theirs, params)
            updates, ours = jax.jit(compiled.update)(grads, ours, params)
            plain, states = run(program, params, grads, states, RATE, step + 1)
            for a, b, c in zip(updates, plain, expected, strict=True):
                np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-15)
                np.testing.assert_allclose(-b, c, rtol=1e-9, atol=1e-15)
            params = optax.apply_updates(params, expected)


SHARED = sorted({*library.names()} & {*BASELINES})


@pytest.mark.parametrize("name", SHARED)
def test_a_rule_and_a_baseline_of_one_name_are_one_method(name):
    draw = np.random.default_rng(1)
    rule, baseline = transform(library.get(name), RATE), BASELINES[name].factory(RATE)
    with jax.enable_x64(True):
        params = {"a": jnp.asarray(draw.normal(size=(2, 3))), "b": jnp.asarray(0.5)}
        ours, theirs = rule.init(params), baseline.init(params)
        for scale in (1e-4, 1.0, 1e-2):  # small at first, where an eps would show
            grads = jax.tree.map(lambda x: jnp.asarray(scale * draw.normal(size=x.shape)), params)  # noqa: B023
            updates, ours = rule.update(grads, ours, params)
            expected, theirs = baseline.update(grads, theirs, params)
            for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9)
            params = optax.apply_updates(params, expected)


def test_what_the_adamw_of_lions_search_does_with_the_learning_rate():
    program = library.get("adamw_no_bias_correction")
    assert learning_rate_scale(program)[1] == 0.001
    assert "0.001" in program.doc


def test_an_unknown_name_gets_near_matches():
    with pytest.raises(KeyError, match=r"did you mean.*lion"):
        library.get("loin")
