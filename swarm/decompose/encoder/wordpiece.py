"""WordPiece: a text as the numbers of a fixed vocabulary, the way BERT was trained to read it.

Lower case, accents dropped, cut at blanks and around punctuation; then each word from the left into the
longest known pieces. A word no pieces make up is one unknown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

WORD_CHARS_MAX: Final = 100
TOKENS_MAX: Final = 256  # what the pretrained sentence encoders were trained on; the rest is not read
_OPEN, _CLOSE, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"


def tokenize(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The numbers of a text, with those that open and close it."""
    found = [vocabulary[_OPEN]]
    for word in _words(text):
        if len(found) >= TOKENS_MAX - 1:
            break
        found += _pieces(word, vocabulary)
    return [*found[: TOKENS_MAX - 1], vocabulary[_CLOSE]]


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = []
    for char in plain:
        category = unicodedata.category(char)
        if category == "Mn" or (category.startswith("C") and char not in "\t\n\r"):
            continue
        apart = category.startswith(("P", "S")) and (category[0] == "P" or ord(char) < 128)
        spaced.append(f" {char} " if apart else char)
    return "".join(spaced).split()


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    if len(word) > WORD_CHARS_MAX:
        return [vocabulary[_UNKNOWN]]
    found: list[int] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        end = next((at for at in range(len(word), start, -1) if prefix + word[start:at] in vocabulary), None)
        if end is None:
            return [vocabulary[_UNKNOWN]]
        found.append(vocabulary[prefix + word[start:end]])
        start = end
    return found
