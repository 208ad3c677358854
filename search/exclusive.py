"""One driver at a time for what lies in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(folder: Path, error: Exception) -> Iterator[None]:
    """Hold a folder; the lock ends with the process, however it ends.

    Args:
      folder: the folder.
      error: raised if another process holds it.
    """
    with open(folder / "driver.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise error from None
        yield
