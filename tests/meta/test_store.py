"""The store of a meta-training: what was committed is whole, and going on changes nothing."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metas import Watch, outcome, same, single, tiny

from metaopt.learned import checkpoint
from search.cluster import InProcess
from search.errors import UserError
from search.meta import campaign, train, validate
from search.meta.config import EstimatorConfig, MetaConfig
from search.meta.store import FILENAME, MetaStore, Validation
from search.meta.work import built
from search.trees import packed, unpacked


def run(folder, config, **options):
    with closing(MetaStore.create(folder, config)) as store:
        watch = Watch()
        assert campaign.advance(store, InProcess(), watch, **options)
        assert watch.steps == list(range(config.steps))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a meta-training that ran undisturbed; only to be read."""
    return run(tmp_path_factory.mktemp("whole"), tiny())


@pytest.fixture
def store(tmp_path):
    """A meta-training stopped after five meta-updates."""
    store = MetaStore.create(tmp_path / "five", tiny())
    asked = iter(range(99))
    assert not campaign.advance(store, InProcess(), Watch(), lambda: next(asked) == 5)
    yield store
    store.close()


def finished(folder):
    with closing(MetaStore.open(folder)) as store:
        return outcome(store)


def reopened(store):
    return finished(store.folder)


def test_a_finished_meta_training_is_whole(whole):
    with closing(MetaStore.open(whole)) as store:
        assert store.config() == tiny()
        records = store.records()
        assert [record.step for record in records] == list(range(12))
        assert all(record.seconds > 0 and record.norm > 0 for record in records)
        assert all(len(record.tasks) == len(record.metrics) == 2 for record in records)
        assert len({name for record in records for name in record.tasks}) == 2
        assert store.committed_at() > 1e9
        weights = store.best()
        assert weights is not None
        assert (weights.step, weights.validation) == (12, None)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_stopping_and_going_on_is_the_same(tmp_path, whole, seconds):
    asked = iter(range(99))
    with closing(MetaStore.create(tmp_path, tiny())) as store:
        for stops in range(4):
            done = campaign.advance(
                store, InProcess(2), Watch(), lambda: next(asked) % 4 == 3, seconds
            )
            assert done == (stops == 3), store.state()
        same(outcome(store), finished(whole))
        assert campaign.advance(store, InProcess(), Watch())  # nothing is left to do
        same(outcome(store), finished(whole))


@pytest.mark.parametrize("method", ["full_es", pytest.param("backprop", marks=pytest.mark.slow)])
def test_every_kind_of_carry_comes_back(tmp_path, method):
    config = single(estimator=EstimatorConfig(method, truncation=2), keep=6, steps=6)
    expected = finished(run(tmp_path / "whole", config))
    with closing(MetaStore.create(tmp_path / "cut", config)) as store:
        asked = iter(range(99))
        assert not campaign.advance(store, InProcess(), Watch(), lambda: next(asked) == 3)
    with closing(MetaStore.open(tmp_path / "cut")) as store:
        assert campaign.advance(store, InProcess(), Watch())
        same(outcome(store), expected)


def test_what_is_committed_late_is_still_committed_together(tmp_path, monkeypatch):
    committed = []
    original = MetaStore.commit

    def commit(self, state, records):
        committed.append((state.step, len(records)))
        original(self, state, records)

    monkeypatch.setattr(MetaStore, "commit", commit)
    run(tmp_path / "late", tiny(), seconds=1e9)
    assert committed == [(0, 0), (12, 12)]
    committed.clear()
    run(tmp_path / "soon", tiny(), seconds=0.0)
    assert len(committed) > 2
    assert sum(count for _, count in committed) == committed[-1][0] == 12


def test_it_begins_where_a_checkpoint_is(tmp_path):
    config = tiny(start=str(tmp_path / "start.safetensors"), steps=2)
    network = built(config.network)
    theta = jax.tree.map(lambda w: w + 0.25, network.init(jax.random.key(5)))
    checkpoint.write(config.start, network, theta, {})
    begun = train.begin(config).theta
    for a, b in zip(jax.tree.leaves(begun), jax.tree.leaves(theta), strict=True):
        np.testing.assert_array_equal(a, b)


def test_losses_that_are_no_numbers_are_counted(tmp_path):
    # So large a deviation makes steps that overflow.
    config = single(estimator=EstimatorConfig("pes", deviation=1e4, truncation=3))
    with closing(MetaStore.open(run(tmp_path, config))) as store:
        records = store.records()
        broken = [float(metrics.broken) for record in records for metrics in record.metrics]
        assert max(broken) > 0.1
        assert all(np.isfinite(record.loss) for record in records)
        state = store.state()
        assert state is not None
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.theta))


# ------------------------------------------------------------------------ validation


@pytest.fixture
def short(monkeypatch):
    """Validation takes few steps of few tasks."""
    names = ("quadratic_3x3_3_cond11800_noise0.159_seed153", "levy_d8_noise0.0244")
    monkeypatch.setattr(validate, "names", lambda: names)
    monkeypatch.setattr(validate, "STEPS", 4)
    return names


def test_validations_come_every_so_often_and_last(tmp_path, short, whole):
    config = tiny(validate=5)
    with closing(MetaStore.create(tmp_path / "a", config)) as store:
        watch = Watch()
        assert campaign.advance(store, InProcess(), watch)
        found = store.validations()
        assert [one.step for one in found] == [0, 5, 10, 12]
        assert found == watch.validations
        assert watch.asked == [(1, 2), (2, 2)] * 4
        assert all(tuple(one.losses) == short for one in found)
        assert all(one.score == np.mean(list(one.losses.values())) for one in found)
        expected = outcome(store)
        best, lowest = store.best(), min(found, key=lambda one: one.score)
        assert best is not None
        assert best.validation == lowest
        state = store.state()
        assert state is not None
    # It changes nothing of the training.
    same(expected[:-1], finished(whole)[:-1])
    # The score is a function of the weights alone.
    again = validate.validation(config, state, InProcess(2))
    assert again.losses == found[-1].losses

    # Stopped in the middle of the second validation.
    with closing(MetaStore.create(tmp_path / "b", config)) as store:
        watch = Watch()
        assert not campaign.advance(store, InProcess(), watch, lambda: len(watch.asked) == 3)
        assert [one.step for one in store.validations()] == [0]
        assert campaign.advance(store, InProcess(), Watch())
        same(outcome(store), expected)


def test_the_best_weights_are_kept(store):
    network = built(store.config().network)
    thetas = [jax.tree.map(jnp.ones_like, network.init(jax.random.key(0))) for _ in range(3)]
    thetas = [jax.tree.map(lambda w, i=i: i * w, theta) for i, theta in enumerate(thetas)]
    scores = (0.5, 0.25, 0.75)
    told = [
        store.add_validation(Validation(i, 1.0, score, {"a": score}), theta)
        for i, (score, theta) in enumerate(zip(scores, thetas, strict=True))
    ]
    assert told == [True, True, False]
    best = store.best()
    assert best is not None
    assert (best.step, best.validation.score) == (1, 0.25)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(best.theta))


@pytest.mark.slow
def test_the_tasks_of_validation_are_those_that_are_cheap():
    import tasks

    names = validate.names()
    assert set(names) < set(tasks.steps("validation"))
    assert len(names) > 20


# ------------------------------------------------------------- commits that fail midway


def test_a_full_disk_leaves_what_was_committed(store, whole):
    before = outcome(store)
    connection = store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    message = r"no space left for .*meta\.sqlite.*safe.*metaopt meta-train resume .*five"
    with pytest.raises(UserError, match=message):
        store.set_note("much", "x" * 100_000)
    record = store.records()[-1]
    with pytest.raises(UserError, match="no space left"):
        store.commit(store.state(), [record._replace(step=5, tasks=("x" * 100_000, "y"))])
    same(outcome(store), before)
    same(reopened(store), before)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert campaign.advance(store, InProcess(), Watch())
    same(outcome(store), finished(whole))


def test_records_never_come_without_their_state(store):
    before, state = outcome(store), store.state()
    records = store.records()
    with pytest.raises(UserError, match=r"cannot be recorded.*safe"):
        store.commit(state._replace(step=6), [records[-1]])  # that step is there already
    same(reopened(store), before)


# -------------------------------------------------------------------- files and folders


def test_creating_and_opening(tmp_path, store):
    with pytest.raises(UserError, match=r"there is no meta-training in .*metaopt meta-train run"):
        MetaStore.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds a meta-training already.*meta-train resume"):
        MetaStore.create(store.folder, tiny())
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        MetaStore.create(tmp_path / "file" / "inside", tiny())


def test_one_driver_at_a_time(store):
    other = MetaStore.open(store.folder)
    with (
        store.locked(),
        pytest.raises(UserError, match=r"running in another process.*meta-train status"),
        other.locked(),
    ):
        pass
    other.close()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_file_that_is_no_meta_training(tmp_path, content):
    (tmp_path / FILENAME).write_bytes(content)
    with pytest.raises(UserError, match="is not a meta-training"):
        MetaStore.open(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short", packed({"a": np.zeros(3)})])
def test_a_state_of_no_use_is_named(store, damage):
    store._connection.execute("UPDATE arrays SET content = ?", (damage,))
    with pytest.raises(UserError, match=r"'state' in .* damaged or of another version"):
        store.state()


def test_a_configuration_of_another_version_is_named(store):
    config = json.loads(json.dumps({"groups": 2, "rings": 3}))
    store.set_note("config", config)
    with pytest.raises(UserError, match=r"another version of metaopt: .*no key 'rings'"):
        store.config()
    store.set_note("format", 99)
    with pytest.raises(UserError, match="has format 99"):
        MetaStore.open(store.folder)


def test_readers_see_what_was_committed(store):
    reader = MetaStore.open(store.folder)
    store._connection.execute("BEGIN IMMEDIATE")
    store._connection.execute("DELETE FROM updates")
    assert len(reader.records()) == 5
    store._connection.execute("ROLLBACK")
    reader.close()


def test_nothing_is_unpickled(store):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    import io

    buffer = io.BytesIO()
    np.savez(buffer, **{"0": np.array([Trap()], object)})
    with pytest.raises(ValueError, match="damaged"):
        unpacked(buffer.getvalue(), {"a": np.zeros(1)})
    store._connection.execute("UPDATE arrays SET content = ?", (buffer.getvalue(),))
    with pytest.raises(UserError, match="damaged"):
        store.state()


def test_configurations_survive_json(tmp_path):
    config = replace(MetaConfig(), seed=7)
    with closing(MetaStore.create(tmp_path, config)) as store:
        assert store.config() == config
        assert isinstance(store.config().tasks.names, tuple)
    with sqlite3.connect(tmp_path / FILENAME) as connection:
        assert connection.execute("SELECT COUNT(*) FROM updates").fetchone() == (0,)
    connection.close()
