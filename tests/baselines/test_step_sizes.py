"""Step sizes that methods find: against Optax where it agrees, and where gradients are zero."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from baseline_checks.trajectories import follow, read

from metaopt import baselines
from metaopt.baselines import BASELINES

PAIRS = {
    "prodigy": (
        lambda: baselines.prodigy(d0=0.01, weight_decay=0.1, use_bias_correction=True),
        lambda: optax.contrib.prodigy(estim_lr0=0.01, weight_decay=0.1),
    ),
    "dadapt_adam": (
        lambda: baselines.dadapt_adam(d0=0.01, weight_decay=0.1, use_bias_correction=True),
        lambda: optax.contrib.dadapt_adamw(estim_lr0=0.01, weight_decay=0.1),
    ),
    "dog": (
        lambda: baselines.dog(reps_rel=0.01),
        lambda: optax.contrib.dog(init_step=("heuristic", 0.01)),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_it_is_optaxs_where_that_is_the_authors(ours, theirs):
    given = read("sgd__torch")
    found, expected = (follow(make(), given.start, given.gradients) for make in (ours, theirs))
    for k in found:
        np.testing.assert_allclose(found[k], expected[k], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [r.id for r in BASELINES.values() if r.group == "step_size_free"])
def test_zero_gradients_move_nothing_and_break_nothing(name):
    row = BASELINES[name]
    test = {k: v for k, v in row.test.items() if k != "weight_decay"}
    optimizer = row.optimizer(1.0, num_steps=8, **test)
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}
    gradients = jax.tree.map(lambda w: jnp.stack([0 * w, 0 * w, 0 * w + 1]), params)
    moved = follow(optimizer, params, gradients)
    for k, w in params.items():
        np.testing.assert_array_equal(moved[k][:2], np.stack([w, w]))
        assert np.isfinite(moved[k][2]).all()
        assert (moved[k][2] != w).all()


def test_sums_of_bfloat16_go_on_growing():
    optimizer = baselines.dog()
    params = jnp.zeros(1, jnp.bfloat16)
    state = optimizer.init(params)
    one = jnp.ones(1, jnp.bfloat16)
    _, state = jax.lax.fori_loop(
        0, 1000, lambda _, c: optimizer.update(one, c[1], params), (one, state)
    )
    np.testing.assert_allclose(state[0].squares, 1000, rtol=1e-5)


@pytest.mark.parametrize("name", ["adabound", "amsbound"])
def test_bounds_follow_a_schedule(name):
    """At the end the step is SGD's, at the final rate times what is left of the schedule."""

    def last_step(rate):
        optimizer = getattr(baselines, name)(rate, b1=0.0, final_learning_rate=0.2, gamma=100.0)
        params = jnp.zeros(())
        state = optimizer.init(params)
        for _ in range(4):
            update, state = optimizer.update(jnp.ones(()), state)
        return update

    np.testing.assert_allclose(last_step(0.1), -0.2, rtol=1e-2)
    np.testing.assert_allclose(last_step(lambda t: 0.1 * 0.5**t), -0.2 / 8, rtol=1e-2)
    assert np.isfinite(last_step(lambda t: 0.1 * t))


@pytest.mark.parametrize(
    "make",
    [
        lambda: baselines.dadapt_sgd(d0=0.0),
        lambda: baselines.dadapt_adagrad(d0=-1.0),
        lambda: baselines.dadapt_adam(d0=0.0),
        lambda: baselines.dadapt_lion(d0=0.0),
        lambda: baselines.prodigy(d0=0.0),
        lambda: baselines.dog(reps_rel=0.0),
        lambda: baselines.ldog(reps_rel=-1.0),
        lambda: baselines.adagrad_norm(1.0, b0=0.0),
        lambda: baselines.adashift(1.0, keep=0),
    ],
)
def test_what_makes_no_sense_is_rejected(make):
    with pytest.raises(ValueError, match=r"(not|positive|cannot)"):
        make()
