"""A meta-training from wherever it is to its end, committed now and then."""

import time
from collections.abc import Callable
from typing import Protocol

from search.cluster import Executor
from search.meta import train, validate
from search.meta.config import MetaConfig
from search.meta.store import MetaStore, Validation
from search.meta.train import Record, State

SECONDS = 15.0
"""Between two commits."""

_SHARE = 0.05
"""Of the time, at most, that commits may take."""


class Observer(Protocol):
    """Who is told how a meta-training goes; see `live.View`."""

    def updated(self, record: Record) -> None: ...

    def validating(self, done: int, total: int) -> None: ...

    def validated(self, validation: Validation) -> None: ...


class _Stopped(Exception):
    """A validation was cut short."""


def advance(
    store: MetaStore,
    executor: Executor,
    observer: Observer,
    stop: Callable[[], bool] = lambda: False,
    seconds: float = SECONDS,
) -> bool:
    """Run a meta-training to its last meta-update.

    Args:
      store: the meta-training, held by this process (`MetaStore.locked`).
      executor: where groups run; it makes no difference to what they come to.
      observer: told of each meta-update and validation.
      stop: asked before each meta-update, and each task of a validation, whether to stop there.
      seconds: between two commits.

    Returns:
      Whether the meta-training is complete.
    """
    config, state = store.config(), store.state()
    if state is None:
        state = train.begin(config)
        store.commit(state, [])
    validated = {validation.step for validation in store.validations()}
    pending = _Pending(store, seconds)
    while True:
        if validate.due(config, state.step) and state.step not in validated:
            pending.commit(state)
            found = _validation(config, state, executor, observer, stop)
            if found is None:
                return False
            store.add_validation(found, state.learned)
            observer.validated(found)
        if state.step >= config.steps or stop():
            pending.commit(state)
            return state.step >= config.steps
        state, record = train.advance(config, state, executor)
        pending.add(record)
        observer.updated(record)
        if pending.due():
            pending.commit(state)


class _Pending:
    """Records that are not committed yet."""

    def __init__(self, store: MetaStore, seconds: float):
        self._store, self._seconds = store, seconds
        self._records: list[Record] = []
        self._again = time.monotonic() + seconds

    def add(self, record: Record) -> None:
        self._records.append(record)

    def due(self) -> bool:
        return time.monotonic() >= self._again

    def commit(self, state: State) -> None:
        """Commit the records and the state that they led to."""
        if not self._records:
            return
        began = time.monotonic()
        self._store.commit(state, self._records)
        self._records = []
        now = time.monotonic()
        self._again = now + max(self._seconds, (now - began) / _SHARE)


def _validation(
    config: MetaConfig,
    state: State,
    executor: Executor,
    observer: Observer,
    stop: Callable[[], bool],
) -> Validation | None:
    """The validation of a state; None if it was cut short."""

    def done(count: int, total: int) -> None:
        observer.validating(count, total)
        if stop():
            raise _Stopped

    try:
        return None if stop() else validate.validation(config, state, executor, done)
    except _Stopped:
        return None
