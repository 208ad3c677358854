"""The campaign store: rounds commit whole, and errors say what to do."""

import itertools
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from campaigns import jax_leaves, outcome, same, tiny

from search.campaign import advance
from search.cluster import InProcess
from search.config import FunnelStage, SearchConfig, from_json, to_json
from search.evaluate import TrainingConfig
from search.evolve import Counts
from search.store import FILENAME, CampaignError, Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short campaign that ended; only to be read."""
    store = Store.create(tmp_path_factory.mktemp("finished"), tiny())
    assert advance(store, InProcess())
    yield store
    store.close()


@pytest.fixture
def two_rounds(tmp_path):
    """A campaign stopped after its second round."""
    store = Store.create(tmp_path / "campaign", tiny())
    asked = iter(range(99))
    assert not advance(store, InProcess(), stop=lambda: next(asked) == 2)
    yield store
    store.close()


def next_commit(store):
    """What a third round would commit."""
    found = store.best(3)
    rows = [(c.print + 1, c.parent, c.kind, c.fitness, c.rate, c.status) for c in found]
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    from search.evolve import Candidates

    rules = tuple(c.rule for c in found)
    full = Candidates(*arrays, rules=rules)
    empty = Candidates(*(a[:0] for a in arrays), rules=())
    return 3, store.islands(), [full, empty], Counts(generated=3, evaluated=3), 0.5


def reopened(store):
    """What another process would see."""
    other = Store.open(store.folder)
    found = outcome(other)
    other.close()
    return found


def test_a_finished_campaign_is_whole(finished):
    records = finished.rounds()
    assert [r.number for r in records] == [0, 1, 2, 3, 4]
    # What both islands trained in the same round is recorded once.
    recorded = len(finished.known()[0])
    assert recorded <= sum(r.counts.evaluated for r in records) <= recorded + 5
    assert [r.best for r in records] == sorted(r.best for r in records)
    assert len(finished.islands()) == 2
    assert all(r.seconds > 0 and r.committed_at > 1e9 for r in records)


def test_best_improvements_and_ancestry(finished):
    everything = finished.best(10**6)
    assert len({c.print for c in everything}) == len(everything) == len(finished.known()[0])
    order = [(-c.fitness, c.ordinal) for c in everything]
    assert order == sorted(order)
    assert finished.best(3) == everything[:3]

    in_order = sorted(everything, key=lambda c: c.ordinal)
    assert [c.ordinal for c in in_order] == list(range(1, len(in_order) + 1))
    best, expected = -1.0, []
    for candidate in in_order:
        if candidate.fitness > best:
            best = candidate.fitness
            expected.append(candidate)
    assert finished.improvements() == expected
    assert len(expected) > 1
    assert expected[-1].fitness == everything[0].fitness

    prints, fitness = finished.known()
    assert prints.tolist() == [c.print for c in in_order]
    assert fitness.tolist() == [c.fitness for c in in_order]

    for candidate in everything:
        line = finished.ancestry(candidate.print)
        assert line[-1] == candidate
        assert line[0].kind == -1
        assert line[0].ordinal == 1
        assert all(b.parent == a.print for a, b in itertools.pairwise(line))
    assert finished.ancestry(12345) == []


def test_islands_come_back_as_they_were(finished):
    config = finished.config()
    for island in finished.islands():
        again = finished.islands()[0]
        assert again.genomes.ops.shape == (config.evolution.population, config.capacity)
        leaves = jax_leaves(island)
        assert [np.asarray(x).dtype for x in leaves[-4:]] == [
            np.dtype(d) for d in ("int64", "float64", "int64", "int64")
        ]
    same(jax_leaves(finished.islands()[1]), jax_leaves(finished.islands()[1]))


def test_stopping_and_going_on_is_the_same_campaign(two_rounds, finished):
    assert two_rounds.rounds()[-1].number == 2
    two_rounds.close()
    store = Store.open(two_rounds.folder)
    assert advance(store, InProcess())
    same(outcome(store), outcome(finished))
    assert advance(store, InProcess())  # nothing is left to do
    same(outcome(store), outcome(finished))


# ------------------------------------------------------------- commits that fail midway


def test_a_full_disk_leaves_the_last_round(two_rounds):
    before = outcome(two_rounds)
    connection = two_rounds._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    number, islands, found, counts, seconds = next_commit(two_rounds)
    found[0] = found[0]._replace(rules=tuple(r + "#" * 50_000 for r in found[0].rules))
    message = r"no space left for .*campaign\.sqlite.*safe.*metaopt search resume .*campaign"
    with pytest.raises(CampaignError, match=message):
        two_rounds.commit(number, islands, found, counts, seconds)
    same(outcome(two_rounds), before)
    same(reopened(two_rounds), before)
    with pytest.raises(CampaignError, match="no space left"):
        two_rounds.set_note("winner", "x" * 100_000)
    assert two_rounds.note("winner") is None
    # With space again, the same store goes on.
    connection.execute("PRAGMA max_page_count = 1000000")
    two_rounds.commit(number, islands, found, counts, seconds)
    assert two_rounds.rounds()[-1].number == 3


def test_a_full_disk_in_a_campaign_and_then_resume(tmp_path, finished):
    store = Store.create(tmp_path, tiny())
    seen = []

    def observe(progress):
        seen.append(progress.record.number)
        if progress.record.number == 2:
            (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
            store._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(CampaignError, match="no space left"):
        advance(store, InProcess(), observe)
    assert seen[-1] < 4
    store.close()
    store = Store.open(tmp_path)
    assert advance(store, InProcess())
    same(outcome(store), outcome(finished))


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        ({"fitness": np.array([0.5, np.nan, 0.2])}, CampaignError),
        ({"prints": np.array([1, 2, 2**70], object)}, OverflowError),
        ({"rules": ("def a", "def b", "\ud800")}, UnicodeEncodeError),
        ({"rules": ("def a", "def b")}, ValueError),
    ],
)
@pytest.mark.parametrize("island", [0, 1])
def test_a_poisoned_candidate_leaves_the_last_round(two_rounds, poison, error, island):
    before = outcome(two_rounds)
    number, islands, found, counts, seconds = next_commit(two_rounds)
    found = [found[0], found[0]._replace(prints=found[0].prints + 1)]
    found[island] = found[island]._replace(**poison)
    with pytest.raises(error) as caught:
        two_rounds.commit(number, islands, found, counts, seconds)
    if error is CampaignError:
        assert "safe" in str(caught.value)
        assert "fitness" in str(caught.value)
    same(outcome(two_rounds), before)
    same(reopened(two_rounds), before)
    two_rounds.commit(*next_commit(two_rounds))
    assert two_rounds.rounds()[-1].number == 3


def test_a_round_is_committed_once(two_rounds):
    before = outcome(two_rounds)
    _, *rest = next_commit(two_rounds)
    with pytest.raises(CampaignError, match=r"cannot be recorded.*rounds\.number"):
        two_rounds.commit(2, *rest)
    same(outcome(two_rounds), before)


def test_what_two_islands_found_belongs_to_the_first(two_rounds):
    number, islands, found, counts, seconds = next_commit(two_rounds)
    second = found[0]._replace(fitness=found[0].fitness + 1)
    two_rounds.commit(number, islands, [found[0], second], counts, seconds)
    new = [c for c in two_rounds.best(1000) if c.round == 3]
    assert len(new) == 3
    assert {c.island for c in new} == {0}
    assert max(c.fitness for c in new) < 1
    ordinals = [c.ordinal for c in two_rounds.best(1000)]
    assert sorted(ordinals) == list(range(1, len(ordinals) + 1))


# -------------------------------------------------------------------- files and folders


def test_creating_and_opening(tmp_path):
    with pytest.raises(CampaignError, match=r"there is no campaign in .*metaopt search run"):
        Store.open(tmp_path / "nowhere")
    Store.create(tmp_path / "deep" / "down", tiny()).close()
    with pytest.raises(CampaignError, match=r"holds a campaign already.*metaopt search resume"):
        Store.create(tmp_path / "deep" / "down", tiny())
    (tmp_path / "file").write_text("")
    with pytest.raises(CampaignError, match="cannot make the folder"):
        Store.create(tmp_path / "file" / "inside", tiny())


def test_a_half_made_campaign_is_none(tmp_path):
    (tmp_path / f"{FILENAME}.new").write_bytes(b"half of a database")
    with pytest.raises(CampaignError, match="there is no campaign"):
        Store.open(tmp_path)
    Store.create(tmp_path, tiny()).close()
    Store.open(tmp_path).close()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" + b"\x07" * 5000, b"hello" * 999])
def test_a_file_that_is_no_campaign(tmp_path, content):
    (tmp_path / FILENAME).write_bytes(content)
    with pytest.raises(CampaignError, match="is not a campaign"):
        Store.open(tmp_path)


def test_a_database_that_is_no_campaign(tmp_path):
    connection = sqlite3.connect(tmp_path / FILENAME)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()
    with pytest.raises(CampaignError, match="is not a campaign"):
        Store.open(tmp_path)


def test_a_damaged_campaign(two_rounds):
    two_rounds.close()
    path = two_rounds.folder / FILENAME
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(CampaignError, match="is damaged"):
        Store.open(two_rounds.folder)


def test_another_format(two_rounds):
    two_rounds.set_note("format", 99)
    with pytest.raises(CampaignError, match="has format 99; this version reads 1"):
        Store.open(two_rounds.folder)


def test_notes(two_rounds):
    assert two_rounds.note("winner") is None
    two_rounds.set_note("winner", {"fitness": 0.5, "rule": "def"})
    two_rounds.set_note("winner", {"fitness": 0.75, "rules": [1, 2]})
    assert Store.open(two_rounds.folder).note("winner") == {"fitness": 0.75, "rules": [1, 2]}


HOLD = """
import sys
from search.store import Store
with Store.open(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_driver_at_a_time(two_rounds):
    command = [sys.executable, "-c", HOLD, str(two_rounds.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with (
                pytest.raises(CampaignError, match=r"running in another process.*search status"),
                two_rounds.locked(),
            ):
                pass
            assert len(reopened(two_rounds)[2]) == 3  # reading needs no lock
        finally:
            other.kill()
    with two_rounds.locked():  # the lock ends with its process, however that ends
        pass


def test_readers_see_the_last_round_while_another_is_written(two_rounds):
    reader = Store.open(two_rounds.folder)
    two_rounds._connection.execute("BEGIN IMMEDIATE")
    two_rounds._connection.execute("DELETE FROM candidates")
    assert len(reader.best(1000)) > 10
    two_rounds._connection.execute("ROLLBACK")
    reader.close()


# ------------------------------------------------------------------------ configuration


def test_a_configuration_survives_json(finished):
    for config in (
        tiny(),
        SearchConfig(),
        tiny(rates=(0.5, 2.0), seed=7, method="random"),
        tiny(funnel=(FunnelStage(TrainingConfig(steps=7), candidates=3),)),
    ):
        again = from_json(SearchConfig, to_json(config))
        assert again == config
        assert hash(again) == hash(config)
    assert finished.config() == tiny()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"islnds": 3}, r"no key 'islnds'; did you mean 'islands'"),
        ({"zzz": 3}, r"no key 'zzz'; known: .*'seed'"),
        ({"training": {"step": 3}}, r"SearchConfig\.training has no key 'step'.*'steps'"),
        ({"evolution": {"mutation": {"insrt": 1}}}, r"evolution\.mutation has no key 'insrt'"),
        ({"islands": "three"}, r"SearchConfig\.islands must be int, got 'three'"),
        ({"islands": True}, r"SearchConfig\.islands must be int, got True"),
        ({"islands": 0}, r"islands must be at least 1"),
        ({"training": {"tasks": "digits"}}, r"training\.tasks must be a list"),
        ({"training": {"rates": [0.5, "x"]}}, r"rates\[1\] must be float, got 'x'"),
        ({"training": {"engine": "gpu"}}, r"engine must be one of auto, host, device"),
        ({"training": {"schedule": "up"}}, r"schedule must be one of constant"),
        ({"training": 3}, r"training must be an object"),
        ({"evolution": {"method": "magic"}}, r"method must be one of evolution"),
        ({"evolution": {"children": 600}}, r"must not outnumber the population"),
        ({"evolution": {"mutation": {"insert": -1}}}, r"weights must be >= 0"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_json(SearchConfig, json.dumps(change))


def test_an_unknown_task_is_named():
    with pytest.raises(KeyError, match="did you mean digits_mlp"):
        replace(tiny().training, tasks=("digits_mlp",))


def test_integers_are_floats_where_floats_are_wanted():
    config = from_json(SearchConfig, '{"training": {"rates": [1, 2]}}')
    assert config.training.rates == (1.0, 2.0)
    assert all(isinstance(rate, float) for rate in config.training.rates)
