"""What first-order methods, sign methods and those for games promise beyond their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from baseline_checks.trajectories import follow, read, steps_of

from metaopt import baselines
from metaopt.baselines.sign.lion_k import CONVEX, lp


def _flat(tree):
    return np.concatenate([tree[k].ravel() for k in "bcw"])


def test_swats_switches_as_its_algorithm_says():
    """Algorithm 1 on the vector of all parameters, with a switch on the way."""
    given = read("sgd__torch")
    alpha, b1, b2, eps, tolerance = 0.05, 0.5, 0.8, 1e-3, 2e-4
    w, m, a, average, rate, v, switched = _flat(given.start), 0, 0, 0.0, None, 0, None
    expected = []
    for k, g in enumerate(map(_flat, steps_of(given.gradients)), 1):
        if rate is not None:
            v = b1 * v + g
            w = w - (1 - b1) * rate * v
        else:
            m = b1 * m + (1 - b1) * g
            a = b2 * a + (1 - b2) * g**2
            p = -alpha * np.sqrt(1 - b2**k) / (1 - b1**k) * m / (np.sqrt(a) + eps)
            w = w + p
            gamma = p @ p / -(p @ g)
            average = b2 * average + (1 - b2) * gamma
            if k > 1 and average > 0 and abs(average / (1 - b2**k) - gamma) < tolerance:
                rate, switched = average / (1 - b2**k), k
        expected.append(w)
    assert switched == 10
    found = follow(
        baselines.swats(alpha, b1, b2, eps, tolerance=tolerance), given.start, given.gradients
    )
    for found_w, expected_w in zip(steps_of(found), expected, strict=True):
        np.testing.assert_allclose(_flat(found_w), expected_w, rtol=1e-9, atol=1e-12)


def test_swats_goes_on_with_the_schedule():
    gradient = {"w": jnp.array([1.0, -3.0])}
    optimizer = baselines.swats(
        lambda count: jnp.where(count < 5, 0.1, 0.01), b1=0.0, tolerance=1e-4
    )
    state = optimizer.init(gradient)
    for _ in range(6):
        updates, state = optimizer.update(gradient, state)
    # Constant gradients: Adam steps by lr, and lr * 2 / |g|_1 g is SGD's step of that projection.
    np.testing.assert_allclose(updates["w"], -0.01 * 0.5 * gradient["w"], rtol=1e-5)


def test_gravity_starts_with_its_velocity():
    state = baselines.gravity(0.1, alpha=0.02).init(jnp.zeros(20_000))
    np.testing.assert_allclose(jnp.std(state.v), 0.2, rtol=0.03)
    state = baselines.gravity(lambda count: 0.1 * count).init(jnp.zeros(3))
    np.testing.assert_array_equal(state.v, 0)


@pytest.mark.parametrize("convex", [*CONVEX.values(), lp(1.5), lp(4.0)])
def test_subgradients_of_lion_k(convex):
    draw = np.random.default_rng(0)
    scales = 10.0 ** draw.uniform(-6, 1, size=40)
    points = [jnp.asarray(s * draw.normal(size=(3, 2))) for s in scales] + [jnp.zeros((3, 2))]
    for x in points:
        slope = convex.subgradient(x)
        assert np.isfinite(slope).all()
        for y in points:
            below = convex.value(x) + jnp.sum(slope * (y - x))
            assert below <= convex.value(y) + 1e-5 * (1 + abs(below))


def test_lion_k_with_the_l1_norm_is_lion():
    given = read("sgd__torch")
    ours = follow(baselines.lion_k(0.01, weight_decay=0.1), given.start, given.gradients)
    lion = follow(optax.lion(0.01, weight_decay=0.1), given.start, given.gradients)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, lion)


def test_rprop_without_backtracking_stays_where_signs_change():
    gradients = {"w": np.array([[1.0], [2.0], [-1.0], [-1.0], [-2.0]])}
    optimizer = baselines.rprop(0.1, backtrack=False)
    path = follow(optimizer, {"w": np.array([0.0])}, gradients)["w"].ravel()
    # Steps of 0.1 and 0.12; none; then 0.06 and 0.072 the other way.
    np.testing.assert_allclose(path, [-0.1, -0.22, -0.22, -0.16, -0.088], rtol=1e-6)


def test_langevin_monte_carlo_samples_the_posterior():
    """On w^2 / 2 its stationary variance is 2 / (beta (2 - lr))."""
    rate, beta = 0.2, 50.0
    optimizer = baselines.langevin_mc(rate, beta, seed=1)

    def step(carry, _):
        w, state = carry
        updates, state = optimizer.update(w, state)
        return (w + updates, state), w

    start = jnp.zeros(2000)
    samples = jax.lax.scan(step, (start, optimizer.init(start)), length=200)[1][50:]
    np.testing.assert_allclose(jnp.var(samples), 2 / (beta * (2 - rate)), rtol=0.03)


def test_complex_momentum_settles_a_game_that_momentum_does_not():
    """min over x, max over y of x y, both at once."""

    def distance(optimizer):
        def step(carry, _):
            game, state = carry
            gradients = {"x": game["y"], "y": -game["x"]}
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(game, updates), state), None

        game = {"x": jnp.float32(1), "y": jnp.float32(1)}
        game, _ = jax.lax.scan(step, (game, optimizer.init(game)), length=300)[0]
        return float(jnp.hypot(game["x"], game["y"]))

    assert distance(baselines.complex_momentum(0.05)) < 0.1
    assert distance(baselines.momentum_sgd(0.05)) > 10


def test_ttur_knows_players_by_their_names():
    players = {"Generator_0": {"kernel": jnp.ones(2)}, "critic": jnp.ones(2)}
    optimizer = baselines.ttur(optax.sgd(0.1), 4.0)
    updates, _ = optimizer.update(players, optimizer.init(players))
    np.testing.assert_allclose(updates["Generator_0"]["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(updates["critic"], -0.4, rtol=1e-6)
    with pytest.raises(ValueError, match=r"dense.*players="):
        optimizer.update({"dense": jnp.ones(2)}, optimizer.init(players))


def test_core_freezes_what_has_brought_the_most():
    optimizer = baselines.core(0.01, weight_decay=0.0, score_history=1, frozen=0.5)
    params = jnp.zeros(4)
    state = optimizer.init(params)
    gradient = jnp.array([1.0, 4.0, 2.0, 3.0])
    _, state = optimizer.update(gradient, state, params)
    updates, _ = optimizer.update(gradient, state, params)
    np.testing.assert_array_equal(updates != 0, [True, False, True, False])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: baselines.lion_k(0.1, kappa="l3"), "l1, l2, huber"),
        (lambda: lp(1.0), "l1()"),
        (lambda: baselines.inna(0.1, beta=0.0), "above zero"),
        (lambda: baselines.innaprop(0.1, beta=0.0), "above zero"),
        (lambda: baselines.ano(0.1, b2=0.4), "b2 is 0.4"),
        (lambda: baselines.core(0.1, frozen=0.1), "score_history"),
        (lambda: baselines.core(0.1, frozen=1.1, score_history=3), "share"),
        (lambda: baselines.adagc(optax.sgd(0.1), warmup_steps=1), "warm-up"),
        (lambda: baselines.coordinate_clip(optax.sgd(0.1), 1.5), "share"),
        (lambda: baselines.spam(0.1, reset_every=0), "reset_every"),
        (lambda: baselines.spam(0.1, warmup_steps=-1), "warmup_steps"),
    ],
)
def test_impossible_hyperparameters_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
