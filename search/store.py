"""The campaign store: one SQLite file in the campaign's folder.

A round commits whole or not at all, so the file always holds the campaign as it was after some
round, and resuming means starting from there. Readers never block the writer (WAL).
"""

import contextlib
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaopt.rules.genome import Genome
from search.config import SearchConfig, from_json, to_json
from search.evolve import ROOT, Candidates, Counts
from search.exclusive import exclusive
from search.population import Island

FILENAME = "campaign.sqlite"
FORMAT = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE rounds (
  number INTEGER PRIMARY KEY, committed_at REAL NOT NULL, seconds REAL NOT NULL,
  best REAL NOT NULL, counts TEXT NOT NULL);
CREATE TABLE islands (island INTEGER PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE candidates (
  ordinal INTEGER PRIMARY KEY, print INTEGER NOT NULL UNIQUE, parent INTEGER NOT NULL,
  kind INTEGER NOT NULL, fitness REAL NOT NULL, rate REAL NOT NULL, status INTEGER NOT NULL,
  round INTEGER NOT NULL, island INTEGER NOT NULL, rule TEXT NOT NULL);
CREATE INDEX by_fitness ON candidates (fitness DESC, ordinal);
"""


class CampaignError(Exception):
    """A campaign that cannot be started, read or gone on with; the message says what to do."""


class Candidate(NamedTuple):
    """A row of the record of everything that was trained.

    Attributes:
      ordinal: its place in the order of the record, from 1.
      print: fingerprint.
      parent: fingerprint of the program it was mutated from.
      kind: kind of the mutation, an index of `mutate.KINDS`; -1 for the start program.
      fitness: in [0, 1].
      rate: best learning rate.
      status: a `Status`.
      round: round in which it was found.
      island: island on which it was found.
      rule: the program, as text.
    """

    ordinal: int
    print: int
    parent: int
    kind: int
    fitness: float
    rate: float
    status: int
    round: int
    island: int
    rule: str


class RoundRecord(NamedTuple):
    """What a committed round left behind: its number, time, best fitness so far, and counts."""

    number: int
    committed_at: float
    seconds: float
    best: float
    counts: Counts


class Store:
    """An open campaign."""

    def __init__(self, folder: Path, connection: sqlite3.Connection):
        self.folder = folder
        self._connection = connection

    @classmethod
    def create(cls, folder: str | Path, config: SearchConfig) -> "Store":
        """Begin a campaign in a folder, which is made if need be.

        Raises:
          CampaignError: there is a campaign already, or the folder cannot be written.
        """
        folder = Path(folder)
        path = folder / FILENAME
        training = replace(config.training, engine=config.training.resolved_engine())
        config = replace(config, training=training)  # the engine stays, wherever it goes on
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CampaignError(f"cannot make the folder {folder}: {error.strerror}") from None
        if path.exists():
            raise CampaignError(
                f"{folder} holds a campaign already; go on with `metaopt search resume {folder}`, "
                "or choose another folder"
            )
        with _clear_errors(path):
            scratch = folder / f"{FILENAME}.{os.getpid()}"
            scratch.unlink(missing_ok=True)
            connection = sqlite3.connect(scratch)
            connection.executescript(_SCHEMA)
            connection.execute(
                "INSERT INTO meta VALUES ('format', ?), ('config', ?)",
                (json.dumps(FORMAT), to_json(config)),
            )
            connection.commit()
            connection.close()
            os.link(scratch, path)  # the campaign exists from here on, and whole
            scratch.unlink()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open the campaign in a folder.

        Raises:
          CampaignError: there is none, or its file is damaged or of another version.
        """
        folder = Path(folder)
        path = folder / FILENAME
        if not path.exists():
            raise CampaignError(
                f"there is no campaign in {folder}; start one with "
                f"`metaopt search run CONFIG.py --out {folder}`"
            )
        with _clear_errors(path):
            connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            store = cls(folder, connection)
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("meta",) not in tables:
                connection.close()
                raise CampaignError(f"{path} is not a campaign; choose another folder")
            found = store.note("format")
        if found != FORMAT:
            raise CampaignError(f"{path} has format {found}; this version reads {FORMAT}")
        return store

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the campaign for one driver; the lock ends with the process, however it ends.

        Raises:
          CampaignError: another driver runs it.
        """
        running = CampaignError(
            f"the campaign in {self.folder} is running in another process; see it with "
            f"`metaopt search status {self.folder}`"
        )
        with exclusive(self.folder, running):
            yield

    def config(self) -> SearchConfig:
        """The configuration that the campaign was started with."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
        return from_json(SearchConfig, row[0])

    def note(self, key: str) -> Any:
        """A JSON value kept with the campaign; None if there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the campaign."""
        with _clear_errors(self.folder / FILENAME):
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value))
            )

    def commit(
        self,
        number: int,
        islands: Sequence[Island],
        candidates: Sequence[Candidates],
        counts: Counts,
        seconds: float,
    ) -> RoundRecord:
        """Commit a round: all of it or, if that fails, nothing.

        A program that two islands found in the same round belongs to the first of them.

        Returns:
          What was recorded of the round.

        Raises:
          CampaignError: the disk is full, or the file cannot be written.
        """
        connection = self._connection
        with _clear_errors(self.folder / FILENAME):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for i, (state, found) in enumerate(zip(islands, candidates, strict=True)):
                    connection.execute(
                        "INSERT OR REPLACE INTO islands VALUES (?, ?)", (i, _to_bytes(state))
                    )
                    columns = (column.tolist() for column in found[:-1])
                    connection.executemany(
                        "INSERT INTO candidates (print, parent, kind, fitness, rate, status, rule, "
                        f"round, island) VALUES (?, ?, ?, ?, ?, ?, ?, {number}, {i}) "
                        "ON CONFLICT (print) DO NOTHING",
                        zip(*columns, found.rules, strict=True),
                    )
                (best,) = connection.execute("SELECT MAX(fitness) FROM candidates").fetchone()
                record = RoundRecord(number, time.time(), seconds, best, counts)
                connection.execute(
                    "INSERT INTO rounds VALUES (?, ?, ?, ?, ?)",
                    (*record[:4], json.dumps(counts._asdict())),
                )
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        return record

    def rounds(self) -> list[RoundRecord]:
        """The committed rounds, in order; round 0 is the start program."""
        rows = self._connection.execute("SELECT * FROM rounds ORDER BY number").fetchall()
        return [
            RoundRecord(number, at, seconds, best, Counts(**json.loads(counts)))
            for number, at, seconds, best, counts in rows
        ]

    def islands(self) -> list[Island]:
        """The islands after the last committed round."""
        rows = self._connection.execute("SELECT state FROM islands ORDER BY island").fetchall()
        return [_from_bytes(blob) for (blob,) in rows]

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Fingerprints and fitness of everything trained, in order."""
        rows = self._connection.execute(
            "SELECT print, fitness FROM candidates ORDER BY ordinal"
        ).fetchall()
        prints = np.array([row[0] for row in rows], np.int64)
        return prints, np.array([row[1] for row in rows], np.float64)

    def best(self, count: int) -> list[Candidate]:
        """The hall of fame: the fittest candidates, fittest first, earlier before later."""
        rows = self._connection.execute(
            "SELECT * FROM candidates ORDER BY fitness DESC, ordinal LIMIT ?", (count,)
        ).fetchall()
        return [Candidate(*row) for row in rows]

    def ancestry(self, fingerprint: int) -> list[Candidate]:
        """A candidate and its ancestors, the start program first."""
        line: list[Candidate] = []
        seen: set[int] = set()
        while fingerprint != ROOT and fingerprint not in seen:
            row = self._connection.execute(
                "SELECT * FROM candidates WHERE print = ?", (fingerprint,)
            ).fetchone()
            if row is None:
                break
            seen.add(fingerprint)
            line.append(Candidate(*row))
            fingerprint = line[-1].parent
        return line[::-1]

    def improvements(self) -> list[Candidate]:
        """The candidates that were the best when they were found, in order."""
        rows = self._connection.execute(
            "SELECT * FROM (SELECT *, MAX(fitness) OVER (ORDER BY ordinal ROWS BETWEEN UNBOUNDED "
            "PRECEDING AND 1 PRECEDING) AS before FROM candidates) "
            "WHERE before IS NULL OR fitness > before ORDER BY ordinal"
        ).fetchall()
        return [Candidate(*row[:-1]) for row in rows]


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Say what went wrong with the file, and what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise CampaignError(
                f"no space left for {path}; the last committed round is safe. Free some space, "
                f"then `metaopt search resume {path.parent}`"
            ) from None
        raise CampaignError(f"cannot write {path}: {error}") from None
    except sqlite3.IntegrityError as error:
        raise CampaignError(
            f"a result cannot be recorded in {path}: {error}. This is a bug; please report it. The "
            f"last committed round is safe: `metaopt search resume {path.parent}`"
        ) from None
    except sqlite3.DatabaseError as error:
        raise CampaignError(f"{path} is not a campaign, or is damaged: {error}") from None
    except OSError as error:
        raise CampaignError(f"cannot write {path}: {error.strerror}") from None


def _to_bytes(island: Island) -> bytes:
    buffer = io.BytesIO()
    arrays = {f"genomes.{k}": v for k, v in island.genomes._asdict().items()}
    arrays |= {k: np.asarray(v) for k, v in island._asdict().items() if k != "genomes"}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _from_bytes(blob: bytes) -> Island:
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        genomes = Genome(**{k: arrays[f"genomes.{k}"] for k in Genome._fields})
        rest = {k: arrays[k][()] for k in Island._fields if k != "genomes"}
    return Island(genomes=genomes, **rest)
