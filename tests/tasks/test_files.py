"""Published data sets: their formats, where they lie, and how they are fetched."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading

import numpy as np
import pytest

import tasks
from tasks import data
from tasks.data import cache, files
from tasks.data.cache import PublishedFile
from tasks.families.conv import ConvNet
from tasks.families.rnn import TextRNN

GENERATOR = np.random.default_rng(0)


def idx(array):
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def cifar_records(images, labels):
    planes = images.transpose((0, 3, 1, 2)).reshape((len(images), -1))
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def tar_gz(members):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def pixels(*shape):
    return GENERATOR.integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache, and none of the loaders' own memory."""
    monkeypatch.setenv("METAOPT_DATA", str(tmp_path))
    # A proxy of this machine is not for its own servers.
    monkeypatch.setenv("no_proxy", "*")
    for loader in (files.fashion_mnist, files.cifar10, files.lm1b):
        loader.cache_clear()
    yield tmp_path
    for loader in (files.fashion_mnist, files.cifar10, files.lm1b):
        loader.cache_clear()


@pytest.fixture
def publish(monkeypatch):
    """Let small files stand for those of a data set: their sizes and hashes enter the table."""

    def publish(name, contents, base="http://127.0.0.1:9"):
        published = tuple(
            PublishedFile(f"{base}/{file}", len(content), hashlib.sha256(content).hexdigest())
            for file, content in contents.items()
        )
        monkeypatch.setattr(cache, "PUBLISHED", {**cache.PUBLISHED, name: published})

    return publish


@pytest.fixture
def place(folder, publish):
    """The same, and they lie in the cache."""

    def place(name, contents):
        publish(name, contents)
        (folder / name).mkdir()
        for file, content in contents.items():
            (folder / name / file).write_bytes(content)

    return place


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (0, 2)])
def test_idx_round_trip(shape):
    array = pixels(*shape)
    np.testing.assert_array_equal(files.parse_idx(idx(array), "x"), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x is no IDX file"),
        (b"\0\0\x08", "x is no IDX file"),
        (b"\0\0\x0d\1\0\0\0\0", "x is no IDX file of unsigned bytes"),
        (b"\0\0\x08\3\0\0\0\2", "x is no IDX file"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"\(2, 3\), 6 bytes, but 5 follow"),
        (idx(np.zeros((2, 3), np.uint8)) + b"\0", "6 bytes, but 7 follow"),
        (b"\0\0\x08\2" + b"\xff" * 8 + b"abc", "but 3 follow"),
    ],
)
def test_a_lying_idx_file_is_an_error(content, message):
    with pytest.raises(ValueError, match=message):
        files.parse_idx(content, "x")


def test_cifar_round_trip():
    images, labels = pixels(3, 32, 32, 3), np.array([7, 0, 9], np.uint8)
    parsed = files.parse_cifar(cifar_records(images, labels), "x")
    np.testing.assert_array_equal(parsed.inputs, images)
    np.testing.assert_array_equal(parsed.labels, labels)
    with pytest.raises(ValueError, match=r"x has 3,072 bytes: no whole records of 3,073"):
        files.parse_cifar(bytes(3072), "x")


def test_members_of_an_archive(tmp_path):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz({"./a/1": b"one", "a/2": b"two", "a/3": bytes(100_000)}))
    assert files.read_members(path, ["a/2", "a/1"]) == {"a/1": b"one", "a/2": b"two"}
    with pytest.raises(ValueError, match=r"x\.tar\.gz lacks a/4"):
        files.read_members(path, ["a/1", "a/4"])


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_damaged_archive_is_an_error(tmp_path, kept):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz({"a": pixels(50_000).tobytes()})[:kept])
    with pytest.raises(ValueError, match=r"x\.tar\.gz (is damaged|lacks a)"):
        files.read_members(path, ["a"])
    path.write_bytes(gzip.compress(b"some")[: kept and 12])
    if kept:
        with pytest.raises(ValueError, match=r"x\.tar\.gz is damaged"):
            files.read_gzip(path)


# ---------------------------------------------------------------- data sets


FASHION = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx(pixels(40, 28, 28))),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.arange(40, dtype=np.uint8) % 10)),
    "t10k-images-idx3-ubyte.gz": gzip.compress(idx(pixels(20, 28, 28))),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(np.arange(20, dtype=np.uint8) % 10)),
}


def check_images(dataset, train, sizes, axis):
    """Against a plain computation in float64 from the published training images."""
    parts = (dataset.train, dataset.validation, dataset.test)
    assert tuple(len(part.labels) for part in parts) == sizes
    kept = train[: sizes[0]].astype(np.float64)
    expected = (train - kept.mean(axis=axis)) / kept.std(axis=axis)
    together = np.concatenate([dataset.train.inputs, dataset.validation.inputs])
    np.testing.assert_allclose(together, expected, atol=1e-5)
    assert all(part.inputs.dtype == np.float32 for part in parts)
    assert all(part.labels.dtype == np.int32 for part in parts)
    assert dataset.classes == 10


def test_fashion_mnist(place):
    place("fashion_mnist", FASHION)
    dataset = files.fashion_mnist(validation=10)
    train = files.parse_idx(gzip.decompress(FASHION["train-images-idx3-ubyte.gz"]), "x")
    check_images(dataset, train[..., None], (30, 10, 20), axis=None)
    assert dataset.train.inputs.shape == (30, 28, 28, 1)
    assert dataset.validation.labels.tolist() == list(range(10))


def test_images_without_labels_are_an_error(place):
    labels = {"train-labels-idx1-ubyte.gz": FASHION["t10k-labels-idx1-ubyte.gz"]}
    place("fashion_mnist", FASHION | labels)
    with pytest.raises(ValueError, match="40 images have 20 labels"):
        files.fashion_mnist(validation=10)


def test_cifar10(place):
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    images = [pixels(4, 32, 32, 3) for _ in names]
    labels = [np.full(4, i, np.uint8) for i in range(6)]
    members = {
        f"cifar-10-batches-bin/{name}.bin": cifar_records(*pair)
        for name, *pair in zip(names, images, labels, strict=True)
    }
    # Archives keep no promise about their order.
    place("cifar10", {"cifar-10-binary.tar.gz": tar_gz(dict(reversed(members.items())))})
    dataset = files.cifar10(validation=4)
    check_images(dataset, np.concatenate(images[:5]), (16, 4, 4), axis=(0, 1, 2))
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert set(dataset.validation.labels) == {4}
    assert set(dataset.test.labels) == {5}


def test_lm1b(place):
    root = "1-billion-word-language-modeling-benchmark-r13output"
    training = f"{root}/training-monolingual.tokenized.shuffled/news.en-0000{{}}-of-00100"
    held_out = f"{root}/heldout-monolingual.tokenized.shuffled/news.en.heldout-0000{{}}-of-00050"
    texts = {training.format(1): b"a dog .\n", training.format(2): b"z\n"}
    texts |= {held_out.format(0): "caf\u00e9\n".encode(), held_out.format(1): b"a cat .\n"}
    place("lm1b", {f"{root}.tar.gz": tar_gz(texts)})
    corpus = data.corpus("lm1b")
    vocabulary = np.frombuffer(corpus.vocabulary, np.uint8)
    assert corpus.vocabulary == bytes(sorted(set(b"a dog .\ncaf\xc3\xa9a cat .\n")))
    decoded = [vocabulary[part].tobytes() for part in corpus[:3]]
    assert decoded == [b"a dog .\n", b"a cat .\n", "caf\u00e9\n".encode()]
    two = files.lm1b(shards=2)
    assert np.frombuffer(two.vocabulary, np.uint8)[two.train].tobytes() == b"a dog .\nz\n"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (lambda: ConvNet("fashion_mnist"), "fashion_mnist"),
        (lambda: ConvNet("cifar10"), "cifar10"),
        (lambda: TextRNN("lm1b"), "lm1b"),
    ],
)
def test_a_configuration_needs_no_data_until_it_is_built(config, name, folder):
    assert config().name.startswith(name)
    with pytest.raises(FileNotFoundError, match=f"`metaopt tasks fetch {name}`"):
        config().build()
    assert list(folder.iterdir()) == []


def test_listing_touches_nothing(monkeypatch):
    monkeypatch.setattr(cache, "directory", lambda: pytest.fail("the cache was looked at"))
    assert tasks.names()
    assert {"fashion_mnist", "cifar10"} <= set(data.IMAGES)
    assert "lm1b" in data.CORPORA


# ---------------------------------------------------------------- the cache


def test_where_data_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("METAOPT_DATA", "~/d")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "d"
    monkeypatch.delenv("METAOPT_DATA")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache.directory() == tmp_path / "x" / "metaopt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.directory() == tmp_path / ".cache" / "metaopt"
    monkeypatch.setattr(cache.sys, "platform", "darwin")
    assert cache.directory() == tmp_path / "Library" / "Caches" / "metaopt"


def test_the_table_of_published_files():
    for name, published in cache.PUBLISHED.items():
        assert name in {**data.IMAGES, **data.CORPORA}
        for file in published:
            assert file.url.startswith(("http://", "https://"))
            assert file.size > 0
            assert len(bytes.fromhex(file.sha256)) == 32


def test_another_file_is_refused(place, folder):
    place("cifar10", {"x.tar.gz": b"right"})
    (folder / "cifar10" / "x.tar.gz").write_bytes(b"wrong")
    with pytest.raises(ValueError, match=r"not the published.*`metaopt tasks fetch cifar10`"):
        cache.paths("cifar10")
    (folder / "cifar10" / "x.tar.gz").write_bytes(b"longer")
    with pytest.raises(ValueError, match="has 6 bytes, the published one 5"):
        cache.paths("cifar10")


def test_a_hash_is_computed_once_and_again_after_a_change(place, folder, monkeypatch):
    place("cifar10", {"x.tar.gz": b"right"})
    path = folder / "cifar10" / "x.tar.gz"
    checks = []
    check = cache._check
    monkeypatch.setattr(cache, "_check", lambda *args: (checks.append(args), check(*args)))
    assert cache.paths("cifar10") == cache.paths("cifar10") == (path,)
    assert len(checks) == 1
    path.write_bytes(b"wrong")
    os.utime(path, ns=(0, 0))
    with pytest.raises(ValueError, match="not the published file"):
        cache.paths("cifar10")


# ---------------------------------------------------------------- fetching


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.contents`; `server.cut` is how much it sends before it hangs up."""

    def do_GET(self):
        content = self.server.contents.get(self.path.strip("/"))
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if content is None:
            self.send_error(404)
            return
        start = int(asked[len("bytes=") : -1]) if asked and self.server.knows_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.contents, server.ranges, server.cut, server.knows_ranges = {}, [], None, True
    server.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


CONTENT = GENERATOR.bytes(5000)


@pytest.fixture
def offered(server, publish):
    """A server that offers the data set `cifar10`, one file."""
    server.contents = {"x.tar.gz": CONTENT}
    publish("cifar10", server.contents, server.base)
    return server


def names(folder):
    return sorted(path.name for path in (folder / "cifar10").iterdir())


def test_fetch(offered, folder):
    lines = []
    (path,) = cache.fetch("cifar10", lines.append)
    assert path == folder / "cifar10" / "x.tar.gz"
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["x.tar.gz", "x.tar.gz.verified"]
    assert cache.fetch("cifar10", lines.append) == cache.paths("cifar10") == (path,)
    assert offered.ranges == [None]
    assert offered.base in lines[0]
    assert "here already" in lines[-1]


def test_fetch_several_files(server, publish, folder):
    server.contents = FASHION
    publish("fashion_mnist", FASHION, server.base)
    cache.fetch("fashion_mnist", lambda _: None)
    assert len(files.fashion_mnist(validation=10).test.labels) == 20


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_an_interrupted_download_goes_on(offered, folder, knows_ranges):
    offered.cut, offered.knows_ranges = 3000, knows_ranges
    with pytest.raises(ConnectionError, match="`metaopt tasks fetch cifar10` tries again"):
        cache.fetch("cifar10", lambda _: None)
    assert names(folder) == ["x.tar.gz.part"]
    with pytest.raises(FileNotFoundError):
        cache.paths("cifar10")
    offered.cut = None
    (path,) = cache.fetch("cifar10", lambda _: None)
    assert path.read_bytes() == CONTENT
    assert offered.ranges == [None, "bytes=3000-"]


@pytest.mark.parametrize("sent", [CONTENT[::-1], CONTENT + b"more", CONTENT[:-1]])
def test_another_file_from_the_server_is_refused(offered, folder, sent):
    offered.contents = {"x.tar.gz": sent}
    with pytest.raises((ValueError, ConnectionError), match=r"published file|bytes"):
        cache.fetch("cifar10", lambda _: None)
    assert set(names(folder)) <= {"x.tar.gz.part"}
    offered.contents = {"x.tar.gz": CONTENT}
    cache.fetch("cifar10", lambda _: None)
    assert cache.paths("cifar10")[0].read_bytes() == CONTENT


def test_a_file_that_the_server_lacks(offered, folder):
    offered.contents = {}
    with pytest.raises(ConnectionError, match=r"404.*put the file at"):
        cache.fetch("cifar10", lambda _: None)


def test_no_server(folder, publish):
    publish("cifar10", {"x.tar.gz": b"x"})
    with pytest.raises(ConnectionError, match=r"cannot download http://127\.0\.0\.1:9/x\.tar\.gz"):
        cache.fetch("cifar10", lambda _: None)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="fashion_mnist, cifar10, lm1b"):
        cache.fetch("imagenet")
