"""Requests in other words: rephrasings that came with a set, else synonyms and another opening, by rule."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from swarm.decompose.encoder.port import Floats, TextEncoder
from swarm.decompose.records import Example

SYNONYMS = {
    "want to": "would like to",
    "need to": "have to",
    "please": "kindly",
    "help me": "assist me to",
    "could you": "can you",
    "check": "look up",
    "query": "look up",
    "inquire about": "ask about",
    "purchase": "buy",
    "buy": "get",
    "create": "make",
    "delete": "remove",
    "modify": "change",
    "change": "alter",
    "update": "change",
    "find": "look for",
    "search": "look",
    "cancel": "call off",
    "tell me": "let me know",
    "inform": "tell",
    "provide": "give",
    "send": "forward",
    "book": "reserve",
    "set": "put",
    "show": "display",
    "begin": "start",
    "combine": "merge",
    "convert": "turn",
    "generate": "produce",
    "extract": "pull out",
    "then": "after that",
    "finally": "in the end",
    "also": "as well",
}
OPENINGS = ("", "Hello. ", "Here is what I have in mind: ", "If possible: ", "One more thing for today. ")
_WORDS = re.compile(
    "|".join(rf"\b{words}\b" for words in sorted(SYNONYMS, key=len, reverse=True)), re.IGNORECASE
)


def reworded(unseen: Sequence[Example], rephrased: Sequence[Example]) -> list[Example]:
    """Each request once, in the first other words there are for it."""
    known: dict[str, Example] = {}
    for each in rephrased:
        known.setdefault(each.group, each)
    return [known.get(each.group) or replace(each, text=by_rule(each.text)) for each in unseen]


def by_rule(text: str) -> str:
    """The same request with synonyms for its common words and another opening."""
    opening = OPENINGS[zlib.crc32(text.encode()) % len(OPENINGS)]
    return opening + _WORDS.sub(lambda found: SYNONYMS[found[0].lower()], text)


class Remembering:
    """An encoder that reads each text once: splits share their texts."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.name, self.size, self._encoder = encoder.name, encoder.size, encoder
        self._vectors: dict[str, Floats] = {}

    def states(self, texts: Sequence[str]) -> list[Floats]:
        return self._encoder.states(texts)

    def vectors(self, texts: Sequence[str]) -> Floats:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        for text, vector in zip(new, self._encoder.vectors(new), strict=True):
            self._vectors[text] = vector
        return np.array([self._vectors[text] for text in texts], np.float32).reshape(-1, self.size)
