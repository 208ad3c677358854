"""What a person can put right: errors that the command line prints as one line."""

import os
from pathlib import Path


class UserError(Exception):
    """A mistake in what was asked for; the message says what, where, and what to do."""


def assert_file_name(path: Path) -> None:
    """Check that a path can be that of a file.

    Raises:
      UserError: it is a folder, or names nothing.
    """
    if not path.name or path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give the name of a file")


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all, making its folder if need be.

    Raises:
      UserError: it cannot be written.
    """
    path = Path(path)
    assert_file_name(path)
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_bytes(data)
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; free some space or choose another place"
        ) from None
