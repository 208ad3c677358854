"""One driver at a time for what lies in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "driver.lock"


@contextmanager
def exclusive(folder: Path, error: Exception) -> Iterator[None]:
    """Hold a folder; the lock ends with the process, however it ends.

    Args:
      folder: the folder.
      error: raised if another process holds it.
    """
    with open(folder / _LOCK, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise error from None
        yield


def is_held(folder: Path) -> bool:
    """Whether a process holds a folder."""
    try:
        with open(folder / _LOCK) as handle:
            # Shared, so that two who look do not take each other for a holder.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
