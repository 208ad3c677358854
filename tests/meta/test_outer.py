"""The average of where a meta-training has been, and what is made of it."""

from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from metas import outcome, same, single

from search.cluster import InProcess
from search.meta import campaign, train
from search.meta.config import OuterConfig
from search.meta.outer import averaged, optimizer
from search.meta.store import MetaStore

CONFIG = single(outer=OuterConfig(average=0.9), steps=6)


class _Silent:
    def updated(self, record): ...

    def validating(self, done, total): ...

    def validated(self, validation): ...


@pytest.mark.parametrize("average", [0.2, 0.99])
def test_the_average_is_of_all_places_and_forgets_the_first(average):
    ours, plain = averaged(optax.sgd(0.1), average), optax.sgd(0.1)
    params = other = {"w": jnp.float32([1.0, -2.0])}
    state, kept = ours.init(params), plain.init(other)
    mean = np.zeros(2)
    for t in range(30):
        gradient = {"w": params["w"] + jnp.sin(jnp.float32(t))}
        updates, state = ours.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        moves, kept = plain.update(gradient, kept, other)
        other = optax.apply_updates(other, moves)
        decay = min(average, t / (t + 10))
        mean = decay * mean + (1 - decay) * np.asarray(params["w"])
        np.testing.assert_allclose(state.mean["w"], mean, rtol=1e-5)
    np.testing.assert_array_equal(params["w"], other["w"])


def test_it_wanders_less_than_what_it_averages():
    ours = optimizer(OuterConfig(learning_rate=0.3, average=0.98), 400)
    params = jnp.full(50, 3.0)
    state, last, means = ours.init(params), [], []
    for t in range(400):
        noise = 5 * jax.random.normal(jax.random.key(t), params.shape)
        updates, state = ours.update(params + noise, state, params)
        params = optax.apply_updates(params, updates)
        last.append(params)
        means.append(state.mean)
    spread, calm = (np.mean(np.square(places[-100:])) for places in (last, means))
    assert calm < 0.6 * spread


def test_it_is_what_is_kept_gone_on_with_and_exported(tmp_path):
    with closing(MetaStore.create(tmp_path / "whole", CONFIG)) as store, store.locked():
        assert campaign.advance(store, InProcess(), _Silent())
        whole, state, best = outcome(store), store.state(), store.best()
    jax.tree.map(np.testing.assert_array_equal, best.theta, state.outer.mean)
    assert any(
        np.any(a != b)
        for a, b in zip(jax.tree.leaves(best.theta), jax.tree.leaves(state.theta), strict=True)
    )
    asked = iter([False, False, False, True])
    with closing(MetaStore.create(tmp_path / "parts", CONFIG)) as store, store.locked():
        assert not campaign.advance(store, InProcess(), _Silent(), lambda: next(asked))
        assert store.state().step < CONFIG.steps
        assert campaign.advance(store, InProcess(), _Silent())
        same(outcome(store), whole)


def test_before_the_first_meta_update_there_is_no_average():
    state = train.begin(CONFIG)
    jax.tree.map(np.testing.assert_array_equal, state.learned, state.theta)


@pytest.mark.parametrize("average", [-0.1, 1.0])
def test_an_average_that_would_never_move_is_refused(average):
    with pytest.raises(ValueError, match="average must be"):
        OuterConfig(average=average)


def test_the_average_needs_parameters():
    ours = averaged(optax.sgd(0.1), 0.9)
    with pytest.raises(ValueError, match="is of parameters"):
        ours.update(jnp.zeros(2), ours.init(jnp.zeros(2)))
