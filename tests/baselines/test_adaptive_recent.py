"""What the trajectories of the recent adaptive methods leave open: variants, limits, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from baseline_checks.trajectories import follow, leafwise, read, steps_of

from metaopt import baselines
from metaopt.baselines import BASELINES
from metaopt.baselines.adaptive.blockwise_adam import one_block
from metaopt.baselines.adaptive.ranger21 import _default_warmup

GIVEN = read("sgd__torch")


def _assert_follows(optimizer, expected, extra=None):
    found = follow(optimizer, GIVEN.start, GIVEN.gradients, extra)
    for t, want in enumerate(expected):
        for k in want:
            np.testing.assert_allclose(found[k][t], want[k], rtol=1e-9, atol=1e-12)


def test_ademamix_warms_up_alpha_and_b3():
    @leafwise
    def trajectory(w, gradients):
        m, s, v, after = 0.0, 0.0, 0.0, []
        b1, b3, length = 0.9, 0.999, 10
        for t, g in enumerate(gradients, start=1):
            # The half-life rises linearly, from that of b1 to that of b3.
            half_lives = np.log(0.5) / np.log([b1, b3])
            half_life = np.interp(t / length, [0, 1], half_lives)
            decay, alpha = 0.5 ** (1 / half_life), 5 * min(1, t / length)
            m = b1 * m + (1 - b1) * g
            s = decay * s + (1 - decay) * g
            v = 0.999 * v + 0.001 * g**2
            root = np.sqrt(v / (1 - 0.999**t)) + 1e-8
            w = w - 0.01 * ((m / (1 - b1**t) + alpha * s) / root + 0.02 * w)
            after.append(w)
        return after

    _assert_follows(
        baselines.ademamix(0.01, b3=0.999, num_steps=10, weight_decay=0.02),
        trajectory(GIVEN.start, steps_of(GIVEN.gradients)),
    )


@pytest.mark.parametrize("variant", ["sgd", "log"])
def test_induced_metric_without_preconditioner(variant):
    losses = np.linspace(3, 0.2, 25)
    w, q, expected = dict(GIVEN.start), 0.0, []
    m = dict.fromkeys(w, 0.0)
    for t, (g, loss) in enumerate(zip(steps_of(GIVEN.gradients), losses, strict=True), start=1):
        q = 0.8 * q + 0.2 * 0.1 * sum(np.sum(x**2) for x in g.values())
        q_hat = q / (1 - 0.8**t)
        scale = 1 / (1 + q_hat) if variant == "sgd" else loss / (loss**2 + q_hat)
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in w}
        w = {k: w[k] - 0.01 * scale * m[k] / (1 - 0.9**t) for k in w}
        expected.append(w)
    _assert_follows(
        baselines.induced_metric(0.01, variant=variant), expected, extra={"value": losses}
    )


def test_induced_metric_needs_the_loss_for_its_logarithm():
    optimizer = baselines.induced_metric(0.01, variant="log")
    with pytest.raises(ValueError, match="value="):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)), jnp.ones(2))


def test_blockwise_adam_of_single_coordinates_is_adam():
    gradients = {"g": np.random.default_rng(0).normal(size=(10, 4))}
    together = follow(optax.adam(0.1), {"g": np.zeros(4)}, gradients)["g"]
    apart = follow(
        baselines.blockwise_adam(0.1),
        {str(i): np.zeros(()) for i in range(4)},
        {str(i): gradients["g"][:, i] for i in range(4)},
    )
    np.testing.assert_allclose(np.stack([apart[str(i)] for i in range(4)], 1), together, rtol=1e-12)


def test_blockwise_adam_with_one_block_is_adasgd():
    params = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}
    gradients = {"a": jnp.array([3.0, 0.0, 0.0]), "b": jnp.full((2, 2), 2.0)}
    optimizer = baselines.blockwise_adam(0.1, blocks=one_block)
    updates, _ = optimizer.update(gradients, optimizer.init(params))
    root = np.sqrt((9 + 16) / 7)
    jax.tree.map(
        lambda u, g: np.testing.assert_allclose(u, -0.1 * g / root, rtol=1e-5), updates, gradients
    )


def test_coupled_adam_keeps_one_second_moment_for_all_tokens():
    params = {"embedding": jnp.zeros((7, 3)), "head": {"kernel": jnp.zeros((3, 7))}}
    v = baselines.coupled_adam(0.1).init(params)[0].v
    assert v["embedding"].shape == (1, 3)
    assert v["head"]["kernel"].shape == (3, 1)


def test_ranger21_warms_up_for_less_where_training_is_short():
    assert _default_warmup(0.999, 10_000) == 2000
    assert _default_warmup(0.999, 1000) == 220


@pytest.mark.parametrize(
    "name",
    [
        *("adam_atan2", "adam_cm", "adamomentum", "adan", "ademamix", "adopt", "alpha_adam"),
        *("blockwise_adam", "coupled_adam", "dualadam", "exadam", "fadam", "induced_metric"),
        *("invadam", "madgrad", "mars_adamw", "mars_lion", "mars_shampoo", "novograd"),
        *("ranger21", "scaled_adam", "stable_adamw"),
    ],
)
def test_zero_gradients_make_finite_steps(name):
    row = BASELINES[name]
    optimizer = row.optimizer(row.test_rate, num_steps=8, **row.test)
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}

    @jax.jit
    def run(params):
        def step(carry, _):
            params, state = carry
            zeros = optax.tree.zeros_like(params)
            updates, state = optimizer.update(zeros, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), length=3)[0][0]

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(params)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: baselines.adam_cm(0.1, capacity=0),
        lambda: baselines.induced_metric(0.1, variant="newton"),
        lambda: baselines.ranger21(0.1, num_steps=10, lookahead_steps=0),
        lambda: baselines.scaled_adam(0.1, period=0),
    ],
)
def test_impossible_hyperparameters_are_refused(build):
    with pytest.raises(ValueError, match=r"capacity|variant|period"):
        build()
