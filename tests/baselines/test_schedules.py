"""Schedules after the end, in a trace, under another schedule; their shapes; decay on plateaus."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaopt import baselines
from metaopt.baselines import BASELINES

SCHEDULES = [row for row in BASELINES.values() if row.kind == "schedule"]
ALL = pytest.mark.parametrize("row", SCHEDULES, ids=lambda row: row.id)


def _made(row, rate=1.0):
    length = {"num_steps": 20} if "num_steps" in row.needs else {}
    return row.factory(rate, **length, **row.test)


@ALL
def test_it_can_be_traced_and_goes_on_after_the_end(row):
    counts = [*range(100), 10**6, 2**31 - 1]
    rates = jax.jit(jax.vmap(_made(row)))(jnp.asarray(counts, jnp.int32))
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()
    assert (rates <= 1 + 1e-6).all()
    np.testing.assert_allclose(rates[7], _made(row)(7), rtol=1e-5, atol=1e-7)


@ALL
def test_a_schedule_of_a_schedule_is_their_product(row):
    product, plain = _made(row, lambda count: 0.5 + count), _made(row)
    np.testing.assert_allclose(product(7), 7.5 * plain(7), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "half"),
    [
        ("linear", 0.5),
        ("cosine", 0.5),
        ("mirror_cosine", 0.5),
        ("square", 0.75),
        ("sqrt", 1 - 0.5**0.5),
    ],
)
def test_cooldowns_of_wsd(shape, half):
    schedule = baselines.wsd(1.0, num_steps=100, warmup=0.1, cooldown=0.4, shape=shape)
    np.testing.assert_allclose([schedule(t) for t in (60, 80, 100)], [1, half, 0], atol=1e-6)
    # The reflection is below the line where the cosine is above it.
    if shape.endswith("cosine"):
        quarter = (1 + np.cos(np.pi / 4)) / 2
        expected = quarter if shape == "cosine" else 2 * 0.75 - quarter
        np.testing.assert_allclose(schedule(70), expected, rtol=1e-5)


def test_milestones_that_fall_on_one_step_all_count():
    schedule = baselines.step_decay(1.0, num_steps=2)
    np.testing.assert_allclose([schedule(t) for t in range(3)], [0.1, 1e-3, 1e-3], rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: baselines.cosine_decay(1.0, num_steps=0),
        lambda: baselines.cosine_decay(1.0, num_steps=10, alpha=1.5),
        lambda: baselines.exponential_decay(1.0, num_steps=10, decay_rate=0),
        lambda: baselines.linear_warmup(1.0, warmup_steps=0),
        lambda: baselines.onecycle(1.0, num_steps=2),
        lambda: baselines.onecycle(1.0, num_steps=100, pct_start=0.9, pct_final=0.5),
        lambda: baselines.step_decay(1.0, num_steps=10, milestones=(2.0,)),
        lambda: baselines.wsd(1.0, num_steps=10, warmup=0.6, cooldown=0.6),
        lambda: baselines.wsd(1.0, num_steps=10, shape="round"),
        lambda: baselines.d2z(1.0, num_steps=10, warmup=-0.1),
        lambda: baselines.rex(1.0, num_steps=0),
        lambda: baselines.eden_schedule(1.0, steps_per_epoch=0),
        lambda: baselines.adamwr(1.0, num_steps=2, restarts=5),
        lambda: baselines.adamwr(1.0, num_steps=9, multiplier=0),
        lambda: baselines.reduce_on_plateau(optax.sgd(1.0), patience=0),
        lambda: baselines.reduce_on_plateau(optax.sgd(1.0), factor=2.0),
    ],
)
def test_what_makes_no_sense_is_rejected(make):
    with pytest.raises(ValueError, match=r"(not|cannot)"):
        make()


# ---------------------------------------------------------------- decay on plateaus


def _scales(losses, *, factor, patience, rtol, cooldown):
    """PyTorch's ReduceLROnPlateau, from its documentation: bad epochs beyond a number reduce."""
    best, bad, resting, rate, rates = np.inf, 0, 0, 1.0, []
    for loss in losses:
        if loss < best * (1 - rtol):
            best, bad = loss, 0
        else:
            bad += 1
        if resting > 0:
            resting, bad = resting - 1, 0
        if bad > patience - 1:
            rate, resting, bad = rate * factor, cooldown, 0
        rates.append(rate)
    return rates


@pytest.mark.parametrize("cooldown", [0, 2])
@pytest.mark.parametrize("window", [1, 3])
def test_plateaus_are_pytorchs(cooldown, window):
    rule = {"factor": 0.5, "patience": 2, "rtol": 0.02, "cooldown": cooldown}
    losses = np.random.default_rng(0).uniform(1, 2, 120) * np.geomspace(1, 0.3, 120)
    optimizer = baselines.reduce_on_plateau(optax.sgd(1.0), accumulation_size=window, **rule)

    def step(state, loss):
        update, state = optimizer.update(jnp.float32(-1), state, value=loss)
        return state, update

    _, found = jax.lax.scan(step, optimizer.init(jnp.float32(0)), jnp.float32(losses))
    expected = _scales(losses.reshape(-1, window).mean(1), **rule)
    assert len(set(expected)) > 5
    np.testing.assert_allclose(found[window - 1 :: window], expected, rtol=1e-6)
    held = found.reshape(-1, window)[1:, :-1]
    np.testing.assert_array_equal(
        held, np.broadcast_to(found[window - 1 : -1 : window, None], held.shape)
    )


def test_losses_of_bfloat16_parameters_are_compared_in_float32():
    optimizer = baselines.reduce_on_plateau(optax.sgd(1.0), patience=1, accumulation_size=1)
    params = jnp.ones((), jnp.bfloat16)
    state = optimizer.init(params)
    for loss in (1.0, 0.999, 0.998):  # equal in bfloat16
        update, state = optimizer.update(-params, state, value=jnp.float32(loss))
        assert update == 1
