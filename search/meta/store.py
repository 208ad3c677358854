"""The store of a meta-training: every meta-update's record, the latest state, the best weights.

A meta-update is a pure function of the configuration and the state. So it is enough to commit now
and then: what was lost is computed again, and comes out the same.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from search.database import Database
from search.meta.config import MetaConfig
from search.meta.curriculum import task_of
from search.meta.estimators import Metrics, estimator
from search.meta.inner import Theta
from search.meta.outer import optimizer
from search.meta.train import Record, State
from search.meta.work import built, inner
from search.trees import packed, unpacked

FILENAME = "meta.sqlite"
BEGUN_FROM, PROVENANCE = "begun_from", "provenance"
"""Notes: what the first weights had been trained for before, and the machines that trained."""

_SCHEMA = """
CREATE TABLE updates (step INTEGER PRIMARY KEY, committed_at REAL NOT NULL, record TEXT NOT NULL);
CREATE TABLE validations (
  step INTEGER PRIMARY KEY, seconds REAL NOT NULL, score REAL NOT NULL, losses TEXT NOT NULL);
CREATE TABLE arrays (name TEXT PRIMARY KEY, step INTEGER NOT NULL, content BLOB NOT NULL);
"""

_STATE, _BEST = "state", "best"


class Validation(NamedTuple):
    """How good weights are on tasks that they were not trained on.

    Attributes:
      step: meta-updates that they had.
      seconds: what it took.
      score: mean over tasks; lower is better.
      losses: of each task.
    """

    step: int
    seconds: float
    score: float
    losses: Mapping[str, float]


class Weights(NamedTuple):
    """Weights, the meta-updates that they had, and their validation, if there was one."""

    theta: Theta
    step: int
    validation: Validation | None


class MetaStore(Database[MetaConfig]):
    """An open meta-training."""

    filename, format, schema = FILENAME, 1, _SCHEMA
    kind, noun, command = MetaConfig, "meta-training", "metaopt meta-train"

    def commit(self, state: State, records: Sequence[Record]) -> None:
        """Commit a state and the records of the meta-updates that led to it since the last one.

        Raises:
          UserError: the disk is full, or the file cannot be written.
        """
        now = time.time()
        with self._transaction() as connection:
            self._keep(_STATE, state.step, state._replace(step=()))
            connection.executemany(
                "INSERT INTO updates VALUES (?, ?, ?)",
                [(record.step, now, _to_json(record)) for record in records],
            )

    def _keep(self, name: str, step: int, tree: Any) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO arrays VALUES (?, ?, ?)", (name, step, packed(tree))
        )

    def state(self) -> State | None:
        """The state that was committed last; None before the first.

        Raises:
          UserError: it is damaged, or of another version.
        """
        step = self._kept_step(_STATE)
        if step is None:
            return None
        return self._kept(_STATE, blueprint(self.config(), step))._replace(step=step)

    def _kept_step(self, name: str) -> int | None:
        row = self._connection.execute("SELECT step FROM arrays WHERE name = ?", (name,)).fetchone()
        return row and row[0]

    def _kept(self, name: str, like: Any) -> Any:
        (content,) = self._connection.execute(
            "SELECT content FROM arrays WHERE name = ?", (name,)
        ).fetchone()
        try:
            return unpacked(content, like)
        except ValueError as error:
            raise self.error(
                f"{name!r} in {self.folder / FILENAME} cannot be used, it is damaged or of another "
                f"version of metaopt: {error}"
            ) from None

    def records(self) -> list[Record]:
        """The committed meta-updates, in order."""
        rows = self._connection.execute("SELECT step, record FROM updates ORDER BY step").fetchall()
        return [_from_json(step, text) for step, text in rows]

    def committed_at(self) -> float | None:
        """When the last meta-update was committed, in seconds since 1970."""
        return self._connection.execute("SELECT MAX(committed_at) FROM updates").fetchone()[0]

    def add_validation(self, validation: Validation, theta: Theta) -> bool:
        """Keep a validation, and the weights if they are the best so far; whether they are."""
        before = [other.score for other in self.validations()]
        best = all(validation.score < score for score in before)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO validations VALUES (?, ?, ?, ?)",
                (*validation[:3], json.dumps(validation.losses)),
            )
            if best:
                self._keep(_BEST, validation.step, theta)
        return best

    def validations(self) -> list[Validation]:
        """The validations, in order."""
        rows = self._connection.execute("SELECT * FROM validations ORDER BY step").fetchall()
        return [
            Validation(step, seconds, score, json.loads(losses))
            for step, seconds, score, losses in rows
        ]

    def best(self) -> Weights | None:
        """The weights with the best validation; if there was none, those come to; or None."""
        step = self._kept_step(_BEST)
        if step is not None:
            (validation,) = (found for found in self.validations() if found.step == step)
            theta = self._kept(_BEST, _theta(self.config()))
            return Weights(theta, step, validation)
        state = self.state()
        return state and Weights(state.learned, state.step, None)


def blueprint(config: MetaConfig, step: int) -> State:
    """Shapes and dtypes of the state after a number of meta-updates; `step` is left out."""
    theta = _theta(config)
    outer = jax.eval_shape(optimizer(config.outer, config.steps).init, theta)
    carries = tuple(_carry(config, group, step, theta) for group in range(config.groups))
    return State((), theta, outer, carries)  # type: ignore[arg-type]


def _theta(config: MetaConfig) -> Theta:
    return jax.eval_shape(built(config.network).init, jax.random.key(0))


def _carry(config: MetaConfig, group: int, step: int, theta: Theta) -> Any:
    if step == 0:
        return None
    task = task_of(config, group, step - 1)
    problem = inner(config.network, config.estimator, config.curriculum.spread, task)
    found = estimator(config.estimator, problem, config.particles)
    return jax.eval_shape(found.start, theta, jax.random.key(0))


def _to_json(record: Record) -> str:
    rest = record._asdict()
    del rest["step"]
    return json.dumps(rest | {"metrics": [metrics._asdict() for metrics in record.metrics]})


def _from_json(step: int, text: str) -> Record:
    value = json.loads(text)
    return Record(
        step=step,
        seconds=value["seconds"],
        norm=value["norm"],
        tasks=tuple(value["tasks"]),
        metrics=tuple(Metrics(**metrics) for metrics in value["metrics"]),
    )
