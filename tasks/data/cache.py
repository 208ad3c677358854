"""Data sets too large to be installed: where they are published, where they lie, how they get here.

Nothing is ever downloaded but by `fetch`, which a person calls. What lies here is used only if its
size and hash are those that this table gives.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_NO_CONNECTION = (URLError, HTTPException, ConnectionError, TimeoutError)


class PublishedFile(NamedTuple):
    """A file as its authors publish it.

    Attributes:
      url: where; the last part of its path is the file's name here.
      size: in bytes.
      sha256: in hexadecimal.
    """

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


_FASHION_MNIST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

# Sizes and hashes are those that TensorFlow Datasets gives in its url_checksums.
PUBLISHED: Mapping[str, tuple[PublishedFile, ...]] = {
    "fashion_mnist": (
        PublishedFile(
            f"{_FASHION_MNIST}/train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        PublishedFile(
            f"{_FASHION_MNIST}/train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        PublishedFile(
            f"{_FASHION_MNIST}/t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        PublishedFile(
            f"{_FASHION_MNIST}/t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    "cifar10": (
        PublishedFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    "lm1b": (
        PublishedFile(
            "http://www.statmt.org/lm-benchmark/"
            "1-billion-word-language-modeling-benchmark-r13output.tar.gz",
            1792209805,
            "01ba60381110baf7f189dfd2b8374de371e8c9a340835793f190bdae9e90a34e",
        ),
    ),
}
"""Data set -> its files."""


def directory() -> Path:
    """Where data sets lie, each in a folder of its name.

    `METAOPT_DATA`, if it is set; else `metaopt` in the user's cache: `~/Library/Caches` on macOS,
    elsewhere `XDG_CACHE_HOME` or `~/.cache`.
    """
    if chosen := os.environ.get("METAOPT_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "metaopt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metaopt"


def paths(name: str) -> tuple[Path, ...]:
    """The files of a data set, in the order of the table, each verified.

    Raises:
      FileNotFoundError: one is not here; the message names the command that gets it.
      ValueError: there is no data set of that name, or a file is not the published one.
    """
    files = _files(name)
    for file in files:
        path = _path(name, file)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not here; `metaopt tasks fetch {name}` downloads it "
                f"({_megabytes(sum(file.size for file in files))})"
            )
        _verify(path, file, advice=f"delete it and run `metaopt tasks fetch {name}`")
    return tuple(_path(name, file) for file in files)


def fetch(name: str, say: Callable[[str], None] = print) -> tuple[Path, ...]:
    """Download what is missing of a data set; an interrupted download goes on where it stopped.

    A file appears under its name only when it is complete and verified.

    Args:
      name: a name in `PUBLISHED`.
      say: is told what happens, a line at a time.

    Returns:
      As `paths`.

    Raises:
      ConnectionError: the server cannot be reached, or ended the transfer early.
      ValueError: there is no data set of that name, or the server sent another file.
    """
    for file in _files(name):
        path = _path(name, file)
        if path.exists():
            _verify(path, file, advice="delete it and try again")
            say(f"{path} is here already")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        say(f"{file.url} ({_megabytes(file.size)}) -> {path}")
        try:
            _download(file, part, say)
        except _NO_CONNECTION as error:
            raise ConnectionError(
                f"cannot download {file.url}: {error}; `metaopt tasks fetch {name}` tries again "
                f"and keeps what has come; or put the file at {path} yourself"
            ) from error
        try:
            _check(part, file, advice="try again later")
        except ValueError:
            part.unlink()
            raise
        part.replace(path)
        _remember(path, file)
    return paths(name)


def _files(name: str) -> tuple[PublishedFile, ...]:
    if name not in PUBLISHED:
        raise ValueError(f"no data set {name!r} to fetch: choose one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def _path(name: str, file: PublishedFile) -> Path:
    return directory() / name / file.name


def _megabytes(size: int) -> str:
    return f"{max(size / 1e6, 0.1):,.1f} MB"


# ---------------------------------------------------------------- download


def _download(file: PublishedFile, part: Path, say: Callable[[str], None]) -> None:
    """Append to `part` what it lacks of `file`; never more than one byte beyond its size."""
    have = part.stat().st_size if part.exists() else 0
    if have >= file.size:
        return
    request = Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=_TIMEOUT) as response:
        # A server that knows no ranges sends the whole.
        resumed = have > 0 and response.status == HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as sink:
            have = _copy(response, sink, have if resumed else 0, file.size, say)
    if have < file.size:
        raise ConnectionError(f"the transfer ended after {have:,} of {file.size:,} bytes")


def _copy(
    source: HTTPResponse,
    sink: BinaryIO,
    have: int,
    size: int,
    say: Callable[[str], None],
) -> int:
    """Copy until the source ends or exceeds `size`; returns how much there is of it then."""
    tenth = 10 * have // size
    while have <= size and (chunk := source.read(min(_CHUNK, size + 1 - have))):
        sink.write(chunk)
        have += len(chunk)
        if 10 * have // size > tenth and size > 10 * _CHUNK:
            tenth = 10 * have // size
            say(f"  {_megabytes(have)} of {_megabytes(size)}")
    return have


# ---------------------------------------------------------------- verification


def _verify(path: Path, file: PublishedFile, advice: str) -> None:
    """Raise ValueError unless the file at `path` is the published one.

    Its hash is computed once, and again only after its size or time of change has changed.
    """
    if _remembered(path) != _record(path, file):
        _check(path, file, advice)
        _remember(path, file)


def _check(path: Path, file: PublishedFile, advice: str) -> None:
    size = path.stat().st_size
    if size != file.size:
        raise ValueError(f"{path} has {size:,} bytes, the published one {file.size:,}; {advice}")
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    if digest != file.sha256:
        raise ValueError(
            f"{path} is not the published file (sha256 {digest[:12]}, expected "
            f"{file.sha256[:12]}); {advice}"
        )


def _record(path: Path, file: PublishedFile) -> dict[str, object]:
    stat = path.stat()
    return {"sha256": file.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _remembered(path: Path) -> object:
    try:
        return json.loads(_mark(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remember(path: Path, file: PublishedFile) -> None:
    # In a folder that is read only nothing is remembered: the hash is computed again next time.
    with contextlib.suppress(OSError):
        _mark(path).write_text(json.dumps(_record(path, file)), encoding="utf-8")
