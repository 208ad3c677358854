"""Files of weights: what is written comes back, and what lies about itself is refused."""

import io
import json
import os
import pickle
import re
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load, save

from metaopt.learned import adafac_mlp, checkpoint, velo
from metaopt.learned.checkpoint import CheckpointError

LEARNED = adafac_mlp(hidden=4, layers=1)


def weights(learned=LEARNED, seed=0):
    return learned.init(jax.random.key(seed))


@pytest.fixture
def written(tmp_path):
    """The file of some weights, with its card."""
    path = tmp_path / "mine.safetensors"
    checkpoint.write(path, LEARNED, weights(), {"name": "mine", "score": 0.5})
    return path


def rewritten(path, change):
    """The file with its tensors changed."""
    tensors = load(path.read_bytes())
    change(tensors)
    path.write_bytes(save(tensors))


def recarded(path, **changes):
    """The card with some keys changed; None takes one away."""
    card = json.loads(path.with_suffix(".json").read_text()) | changes
    kept = {key: value for key, value in card.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(kept))


def refused(path, learned=LEARNED):
    """The message of weights that must be refused; it names the file."""
    with pytest.raises(CheckpointError) as raised:
        checkpoint.read(path, learned)
    assert str(path) in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("learned", [LEARNED, velo(hidden=8, bank=2)], ids=["adafac_mlp", "velo"])
def test_weights_come_back_to_the_bit(tmp_path, learned):
    theta = weights(learned)
    tiny = np.float32(1e-45)  # subnormal, and a zero with a sign
    theta = jax.tree.map(lambda w: w.at[..., :1].set(tiny) if w.ndim else w, theta)
    theta = jax.tree.map(lambda w: w.at[..., -1:].set(-0.0) if w.ndim else w, theta)
    checkpoint.write(tmp_path / "a", learned, theta, {})
    found = checkpoint.read(tmp_path / "a", learned)
    assert jax.tree.structure(found) == jax.tree.structure(theta)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(theta), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.dtype, a.shape) == (np.float32, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.safetensors"]


def test_the_card_says_what_it_was_given_and_what_the_network_is(written):
    card = checkpoint.read_card(written)
    assert card == {
        "contract": LEARNED.contract,
        "sizes": dict(LEARNED.sizes),
        "name": "mine",
        "score": 0.5,
    }
    described = checkpoint.described(written)
    assert (described.contract, described.sizes) == (LEARNED.contract, LEARNED.sizes)
    assert jax.tree.structure(checkpoint.read(written, described)) == jax.tree.structure(weights())


def test_a_name_without_its_ending_is_the_same_file(written):
    bare = written.with_suffix("")
    assert checkpoint.read_card(bare) == checkpoint.read_card(written)
    checkpoint.read(bare, LEARNED)


# ------------------------------------------------------------------------- the weights


def test_no_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no weights .*nowhere\.safetensors"):
        checkpoint.read(tmp_path / "nowhere", LEARNED)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_file_that_was_cut_short(written, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    assert "damaged" in refused(written)


@pytest.mark.parametrize(
    "content",
    [
        b"hello" * 100,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 9) + b"not json!",
        struct.pack("<Q", 2) + b"[]",
        b"\x93NUMPY\x01\x00v\x00",
    ],
)
def test_a_file_of_another_kind(written, content):
    written.write_bytes(content)
    assert "damaged or no safetensors file" in refused(written)


def test_a_header_that_lies_about_its_tensors(written):
    content = written.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    name = next(key for key in header if key != "__metadata__")
    for change in ({"dtype": "F64"}, {"shape": [1 << 40, 1 << 40]}, {"data_offsets": [0, 1 << 50]}):
        lie = json.dumps(header | {name: header[name] | change}).encode()
        written.write_bytes(struct.pack("<Q", len(lie)) + lie + content[8 + length :])
        assert "damaged" in refused(written)


def test_a_header_that_names_another_contract(written):
    written.write_bytes(save(load(written.read_bytes()), {"contract": "adafac_mlp/99"}))
    assert "holds weights of 'adafac_mlp/99', not of 'adafac_mlp/1'" in refused(written)


def test_weights_that_are_no_numbers_are_not_written(written):
    before = written.read_bytes()
    broken = jax.tree.map(lambda w: jnp.full_like(w, jnp.nan), weights())
    with pytest.raises(CheckpointError, match="holds values that are not finite"):
        checkpoint.write(written, LEARNED, broken, {"name": "mine"})
    assert written.read_bytes() == before


def test_tensors_that_are_missing_or_too_many(written):
    name = sorted(load(written.read_bytes()))[0]
    rewritten(written, lambda tensors: tensors.update(more=tensors.pop(name)))
    message = refused(written)
    assert re.search(rf"missing \['{name}'\], unknown \['more'\]", message)
    assert LEARNED.contract in message


def test_tensors_of_other_shapes(written):
    name = sorted(load(written.read_bytes()))[-1]
    rewritten(written, lambda tensors: tensors.update({name: tensors[name][..., :-1].copy()}))
    assert re.search(rf"{name} is float32 .* the network's is float32", refused(written))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_tensors_of_other_dtypes(written, dtype):
    name = sorted(load(written.read_bytes()))[0]
    rewritten(written, lambda tensors: tensors.update({name: tensors[name].astype(dtype)}))
    assert np.dtype(dtype).name in refused(written)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(written, value):
    name = sorted(load(written.read_bytes()))[0]

    def poison(tensors):
        tensors[name] = np.full_like(tensors[name], value)

    rewritten(written, poison)
    assert f"{name} holds values that are not finite" in refused(written)


def test_weights_of_a_network_of_other_sizes(written):
    assert "the network's is float32" in refused(written, adafac_mlp(hidden=8, layers=1))
    assert "missing [" in refused(written, adafac_mlp(hidden=4, layers=2))
    assert "not of 'velo/2'" in refused(written, velo())


# ---------------------------------------------------------------------------- the card


def test_no_card(written):
    written.with_suffix(".json").unlink()
    for call in (checkpoint.read_card, checkpoint.described):
        with pytest.raises(FileNotFoundError, match=r"no card .*mine\.json: weights travel with"):
            call(written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{'contract': 'adafac_mlp/1'}", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "names no contract"),
        (b"{}", "names no contract"),
        (b'{"contract": 3, "sizes": {}}', "names no contract"),
        (b'{"contract": "adafac_mlp/1"}', "gives no sizes"),
        (b'{"contract": "adafac_mlp/1", "sizes": [4]}', "gives no sizes"),
    ],
)
def test_a_card_that_is_none(written, content, message):
    written.with_suffix(".json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        checkpoint.described(written)
    assert "mine.json" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contract": "adafac_mlp/99"}, r"under the contract 'adafac_mlp/99', this version has"),
        ({"contract": "adafac_mlp"}, r"under the contract 'adafac_mlp', this version has"),
        ({"contract": "oracle/1"}, r"unknown network 'oracle'; this version has .*velo"),
        ({"contract": "__import__/1"}, "unknown network"),
        ({"sizes": {"hidden": "4"}}, "must be whole numbers"),
        ({"sizes": {"hidden": 4.5}}, "must be whole numbers"),
        ({"sizes": {"hidden": True}}, "must be whole numbers"),
        ({"sizes": {"hidden": 0}}, "hidden must be at least 1"),
        ({"sizes": {"width": 4}}, "has no size 'width'"),
        ({"sizes": None}, "gives no sizes"),
    ],
)
def test_a_card_of_another_network(written, changes, message):
    recarded(written, **changes)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.described(written)


# ----------------------------------------------------------------- data, and only data


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_nothing_is_executed(written, tmp_path):
    sprung = tmp_path / "sprung"
    written.write_bytes(pickle.dumps(Trap(sprung)))
    assert "damaged" in refused(written)
    buffer = io.BytesIO()
    np.savez(buffer, trap=np.array([Trap(sprung)], object))
    written.write_bytes(buffer.getvalue())
    assert "damaged" in refused(written)
    for content in (pickle.dumps(Trap(sprung)), b"__import__('os').mkdir('sprung')"):
        written.with_suffix(".json").write_bytes(content)
        with pytest.raises(CheckpointError, match="is not JSON"):
            checkpoint.described(written)
    assert not sprung.exists()


def test_a_write_that_fails_leaves_the_old_file(written, monkeypatch):
    before = written.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.write(written, LEARNED, weights(seed=1), {"odd": object()})
    assert written.read_bytes() == before
    assert checkpoint.read_card(written)["name"] == "mine"


@pytest.mark.parametrize("sizes", [{"hidden": 10**9}, {"layers": 10**6}])
def test_a_card_that_asks_for_all_memory(written, sizes):
    recarded(written, sizes=sizes)
    with pytest.raises(CheckpointError, match="is refused"):
        checkpoint.described(written)
