"""Words as hashed numbers: a word, its stem and its pieces share one embedding's weight, with no vocabulary.

A word never seen in training still has its stem's or its pieces' numbers. Hashing is CRC-32, the same on
every machine.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.lexicon import CONCEPT_OF_WORD, KIND_OF_WORD
from swarm.decompose.parse.language import stem, words_of

PARTS: Final = 8  # numbers per word; the first is never empty, the others are padded with 0

Numbers = NDArray[np.int64]


def hashed_tokens(text: str, buckets: int, tokens_max: int) -> Numbers:
    """One row of PARTS numbers per word; 0 is no number of any part."""
    rows = [_parts(word, buckets) for word in words_of(text)[:tokens_max]] or [[1]]
    found = np.zeros((len(rows), PARTS), np.int64)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


def _parts(word: str, buckets: int) -> list[int]:
    padded = f"<{word}>"
    parts = [f"w{word}", f"s{stem(word)}", f"p{padded[:4]}", f"e{padded[-4:]}"]
    kind = KIND_OF_WORD.get(word) or KIND_OF_WORD.get(word.removesuffix("s"))
    parts += [f"k{kind}"] if kind else []
    parts += [f"c{concept}" for concept in CONCEPT_OF_WORD.get(word, ())]
    return [1 + zlib.crc32(part.encode()) % (buckets - 1) for part in parts[:PARTS]]
