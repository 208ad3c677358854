"""Campaigns whose file is damaged, or whose folder cannot be written."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from campaigns import outcome, same, tiny

from search.campaign import advance
from search.cluster import InProcess
from search.store import FILENAME, CampaignError, Store


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short campaign that ended; only to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    with closing(Store.create(folder, tiny(rounds=1))) as store:
        assert advance(store, InProcess())
    return folder


READ = {
    "config": lambda store: store.config(),
    "winner": lambda store: store.note("winner"),
    "rounds": lambda store: store.rounds(),
    "islands": lambda store: store.islands(),
    "known": lambda store: store.known(),
}


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("config", "UPDATE meta SET value = '{' WHERE key = 'config'"),
        ("config", "DELETE FROM meta WHERE key = 'config'"),
        ("winner", "INSERT INTO meta VALUES ('winner', '{\"rule\": ')"),
        ("rounds", "UPDATE rounds SET counts = '{\"generated\": '"),
        ("rounds", "UPDATE rounds SET counts = '{\"generatd\": 3}'"),
        ("rounds", "UPDATE rounds SET counts = '3'"),
        ("islands", "UPDATE islands SET state = x'0102'"),
        ("islands", "UPDATE islands SET state = x'504b0304'"),
        ("islands", "UPDATE islands SET state = substr(state, 1, length(state) / 2)"),
        ("known", "UPDATE candidates SET fitness = 'high'"),
    ],
)
def test_damaged_content_is_said_to_be_so(tmp_path, finished, what, change):
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    with closing(sqlite3.connect(folder / FILENAME)) as connection:
        connection.execute(change)
        connection.commit()
    message = rf"{FILENAME} is damaged \(.*put back a copy"
    with closing(Store.open(folder)) as store, pytest.raises(CampaignError, match=message):
        READ[what](store)


@pytest.fixture
def locked_away(finished):
    """A copy of the campaign where nobody may write; what a crash left of its log lies beside."""
    folder = Path(tempfile.mkdtemp())  # unlike pytest's own, others can reach it
    store = Store.open(finished)
    store.set_note("late", 7)  # is still in the log while the store is open
    for file in (FILENAME, f"{FILENAME}-wal"):
        shutil.copyfile(finished / file, folder / file)
        (folder / file).chmod(0o444)
    store.close()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.filterwarnings("ignore")  # JAX warns of forks, and this one does not call it
def test_what_cannot_be_written_can_be_read(finished, locked_away):
    with closing(Store.open(finished)) as store:
        records = store.rounds()
    child = os.fork()  # root may write everything, so somebody else has to try
    if not child:
        wrong = 1
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            store = Store.open(locked_away)
            wrong = 2 * (store.note("late") != 7) + 4 * (store.rounds() != records)
            store.set_note("late", 8)
            wrong += 8
        except CampaignError as error:
            wrong += 16 * ("readonly" not in str(error))
        finally:
            os._exit(wrong)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {file.name for file in locked_away.iterdir()} == {FILENAME, f"{FILENAME}-wal"}


def test_read_only_is_the_same_campaign(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "copy")
    with closing(Store.open(finished)) as store:
        expected = outcome(store)
    monkeypatch.setattr("search.database.os.access", lambda *_: False)
    with closing(Store.open(tmp_path / "copy")) as store:
        same(outcome(store), expected)
