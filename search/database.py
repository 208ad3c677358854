"""What a long run is kept in: one SQLite file in the run's folder.

A commit happens whole or not at all, so the file always holds the run as it was after some step,
and resuming means starting from there. Readers never block the writer (WAL). Where the folder
cannot be written, a run can still be read.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import struct
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from search.config import from_json, to_json
from search.errors import UserError
from search.exclusive import exclusive

C = TypeVar("C")

_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"

_DAMAGE = (sqlite3.DatabaseError, ValueError, TypeError, LookupError, RuntimeError, EOFError)
_DAMAGE += (zipfile.BadZipFile, zlib.error, struct.error)
"""What SQLite, JSON and numpy raise for content that was not written so."""


class Database(Generic[C]):
    """An open run; C is the type of its configuration.

    Attributes:
      folder: the run's folder.
      filename: of the file in it.
      format: version of the schema.
      schema: its tables, beside `meta`.
      kind: type of the configuration.
      noun: what a run is called.
      command: what starts one, such as `metaopt search`; it has `run`, `resume` and `status`.
      error: raised for what a person can put right.
    """

    filename: ClassVar[str]
    format: ClassVar[int]
    schema: ClassVar[str]
    kind: ClassVar[type]
    noun: ClassVar[str]
    command: ClassVar[str]
    error: ClassVar[type[Exception]] = UserError

    def __init__(self, folder: Path, connection: sqlite3.Connection):
        self.folder = folder
        self._connection = connection

    @classmethod
    def create(cls, folder: str | Path, config: C) -> Self:
        """Begin a run in a folder, which is made if need be.

        Raises:
          error: there is one already, or the folder cannot be written.
        """
        folder = Path(folder)
        path = folder / cls.filename
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cls.error(f"cannot make the folder {folder}: {error.strerror}") from None
        if path.exists():
            raise cls.error(
                f"{folder} holds a {cls.noun} already; go on with `{cls.command} resume {folder}`, "
                "or choose another folder"
            )
        with cls._clear_errors(path):
            scratch = folder / f"{cls.filename}.{os.getpid()}"
            scratch.unlink(missing_ok=True)
            connection = sqlite3.connect(scratch)
            connection.executescript(_META + cls.schema)
            connection.execute(
                "INSERT INTO meta VALUES ('format', ?), ('config', ?)",
                (json.dumps(cls.format), to_json(config)),
            )
            connection.commit()
            connection.close()
            os.link(scratch, path)  # the run exists from here on, and whole
            scratch.unlink()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open the run in a folder; only for reading, where the folder cannot be written.

        Raises:
          error: there is none, or its file is damaged or of another version.
        """
        folder = Path(folder)
        path = folder / cls.filename
        if not path.exists():
            raise cls.error(
                f"there is no {cls.noun} in {folder}; start one with "
                f"`{cls.command} run CONFIG.py --out {folder}`"
            )
        with cls._clear_errors(path):
            if os.access(folder, os.W_OK) and os.access(path, os.W_OK):
                connection = sqlite3.connect(path, timeout=60, isolation_level=None)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            else:
                connection = _read_only(path)
            database = cls(folder, connection)
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("meta",) not in tables:
                connection.close()
                raise cls.error(f"{path} is not a {cls.noun}; choose another folder")
            found = database.note("format")
        if found != cls.format:
            raise cls.error(f"{path} has format {found}; this version reads {cls.format}")
        return database

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for one driver; the lock ends with the process, however it ends.

        Raises:
          error: another driver runs it.
        """
        running = self.error(
            f"the {self.noun} in {self.folder} is running in another process; see it with "
            f"`{self.command} status {self.folder}`"
        )
        with exclusive(self.folder, running):
            yield

    def config(self) -> C:
        """The configuration that the run was started with.

        Raises:
          error: this version has no such configuration, or the file is damaged.
        """
        with self._decoding():
            (text,) = self._connection.execute(
                "SELECT value FROM meta WHERE key = 'config'"
            ).fetchone()
            try:
                return from_json(self.kind, text)
            except json.JSONDecodeError:
                raise
            except (ValueError, KeyError) as error:
                raise self.error(
                    f"the {self.noun} in {self.folder} is of another version of metaopt: {error}"
                ) from None

    def note(self, key: str) -> Any:
        """A JSON value kept with the run; None if there is none.

        Raises:
          error: the file is damaged.
        """
        with self._decoding():
            row = self._connection.execute(
                "SELECT value FROM meta WHERE key = ?", (key,)
            ).fetchone()
            return None if row is None else json.loads(row[0])

    def set_note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the run."""
        with self._clear_errors(self.folder / self.filename):
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value))
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is executed inside: all of it or, if that fails, nothing."""
        connection = self._connection
        with self._clear_errors(self.folder / self.filename):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _decoding(self) -> Iterator[None]:
        """Say that the file is damaged where its content is not what was written."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError):  # it is busy, or our fault
            raise
        except _DAMAGE as error:
            what = f"{type(error).__name__}: {error}"
            raise self.error(
                f"{self.folder / self.filename} is damaged ({what}); put back a copy of it, or "
                f"start the {self.noun} anew in another folder"
            ) from None

    @classmethod
    @contextlib.contextmanager
    def _clear_errors(cls, path: Path) -> Iterator[None]:
        """Say what went wrong with the file, and what to do."""
        resume = f"`{cls.command} resume {path.parent}`"
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise cls.error(
                    f"no space left for {path}; what was committed is safe. Free some space, then "
                    f"{resume}"
                ) from None
            raise cls.error(f"cannot write {path}: {error}") from None
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise cls.error(
                f"a result cannot be recorded in {path}: {error}. This is a bug; please report it. "
                f"What was committed is safe: {resume}"
            ) from None
        except sqlite3.DatabaseError as error:
            raise cls.error(f"{path} is not a {cls.noun}, or is damaged: {error}") from None
        except OSError as error:
            raise cls.error(f"cannot write {path}: {error.strerror}") from None


def _read_only(path: Path) -> sqlite3.Connection:
    """A connection to a file in a folder that cannot be written.

    SQLite reads a WAL file there only while a writer has it open; else from a copy.
    """
    address = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=60, isolation_level=None)
    try:
        connection.execute("SELECT name FROM sqlite_master").fetchall()
        return connection
    except sqlite3.OperationalError:
        connection.close()
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with tempfile.TemporaryDirectory() as scratch:
        for file in (path, path.with_name(f"{path.name}-wal")):
            if file.exists():
                shutil.copyfile(file, Path(scratch) / file.name)
        with contextlib.closing(sqlite3.connect(Path(scratch) / path.name)) as copy:
            copy.backup(memory)
    memory.execute("PRAGMA query_only=ON")
    return memory
