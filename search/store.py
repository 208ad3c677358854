"""The campaign store: every round of a campaign, committed whole or not at all."""

import io
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaopt.rules.genome import Genome
from search.config import SearchConfig
from search.database import Database
from search.evolve import ROOT, Candidates, Counts
from search.population import Island

FILENAME = "campaign.sqlite"

_SCHEMA = """
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


class Store(Database[SearchConfig]):
    """An open campaign."""

    filename, format, schema = FILENAME, 1, _SCHEMA
    kind, noun, command = SearchConfig, "campaign", "metaopt search"
    error = CampaignError

    @classmethod
    def create(cls, folder: str | Path, config: SearchConfig) -> "Store":
        """Begin a campaign in a folder, which is made if need be.

        Raises:
          CampaignError: there is a campaign already, or the folder cannot be written.
        """
        training = replace(config.training, engine=config.training.resolved_engine())
        # The engine stays, wherever it goes on.
        return super().create(folder, replace(config, training=training))

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
        with self._transaction() as connection:
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
        return record

    def rounds(self) -> list[RoundRecord]:
        """The committed rounds, in order; round 0 is the start program.

        Raises:
          CampaignError: the file is damaged; so do all that read it.
        """
        with self._decoding():
            rows = self._connection.execute("SELECT * FROM rounds ORDER BY number").fetchall()
            return [
                RoundRecord(number, at, seconds, best, Counts(**json.loads(counts)))
                for number, at, seconds, best, counts in rows
            ]

    def islands(self) -> list[Island]:
        """The islands after the last committed round."""
        with self._decoding():
            rows = self._connection.execute("SELECT state FROM islands ORDER BY island").fetchall()
            return [_from_bytes(blob) for (blob,) in rows]

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Fingerprints and fitness of everything trained, in order."""
        with self._decoding():
            rows = self._connection.execute(
                "SELECT print, fitness FROM candidates ORDER BY ordinal"
            ).fetchall()
            prints = np.array([row[0] for row in rows], np.int64)
            return prints, np.array([row[1] for row in rows], np.float64)

    def best(self, count: int) -> list[Candidate]:
        """The hall of fame: the fittest candidates, fittest first, earlier before later."""
        with self._decoding():
            rows = self._connection.execute(
                "SELECT * FROM candidates ORDER BY fitness DESC, ordinal LIMIT ?", (count,)
            ).fetchall()
            return [Candidate(*row) for row in rows]

    def ancestry(self, fingerprint: int) -> list[Candidate]:
        """A candidate and its ancestors, the start program first."""
        line: list[Candidate] = []
        seen: set[int] = set()
        while fingerprint != ROOT and fingerprint not in seen:
            with self._decoding():
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
        with self._decoding():
            rows = self._connection.execute(
                "SELECT * FROM (SELECT *, MAX(fitness) OVER (ORDER BY ordinal ROWS BETWEEN "
                "UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM candidates) "
                "WHERE before IS NULL OR fitness > before ORDER BY ordinal"
            ).fetchall()
            return [Candidate(*row[:-1]) for row in rows]


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
