"""NaturalLanguageParser: a sentence into clauses, a clause into words, stems and kinds of data.

A clause is the smallest piece that may ask for one thing: sentences are cut at punctuation, at
"and" or "then" before a verb-like word, and at connectives such as "after that". What stands in
quotation marks is data, not a request, and is kept out of the words (its kind is kept). Nothing here
knows any capability, so it works for every catalogue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from swarm.decompose.lexicon import CONCEPT_OF_WORD, KIND_OF_WORD, STOPWORDS, spoken_list
from swarm.errors import Mistake, TooLarge

QUOTED: Final = re.compile(
    r"(?<![A-Za-z0-9])(['\"\u2018\u201c])(.{1,2000}?)(['\"\u2019\u201d])(?![A-Za-z0-9])", re.DOTALL
)
URL: Final = re.compile(r"(?:https?://|www\.)[^\s'\",)]+", re.IGNORECASE)
FILE: Final = re.compile(
    r"\b[\w-]+\.(jpe?g|png|gif|bmp|mp4|mov|avi|mkv|webm|wav|mp3|flac|ogg|m4a|txt|docx?|pdf|md|csv|tsv|xlsx|json)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:\.\d+)?")
_BREAK: Final = re.compile(
    r"[.;!?\n]+|,\s*(?:and\s+|then\s+|but\s+)*|\b(?:and then|then|and finally|and also|after that|afterwards|"
    r"finally|and|before|so that|as well as|which|after)\b",
    re.IGNORECASE,
)
_SUFFIXES: Final = tuple(
    sorted(
        spoken_list(
            """izations ization isations isation ations ation ators ator ated ates ate
    ating izing izers izer ized izes
    ize ising iser ised ises ise ifying ifiers ifier ified ifies ify ings ing ers er ors or ions ion
    ively ive edly ed ies es s y e ly ment ments ing al ance ence"""
        ),
        key=len,
        reverse=True,
    )
)
STEM_CHARS_MIN: Final = 4
REQUEST_CHARS_MAX: Final = 20_000
_FILE_KINDS: Final = {"doc": "text", "docx": "text", "pdf": "text", "md": "text", "json": "text"}


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a request that may ask for one thing, and where it starts."""

    text: str
    start: int  # characters before it in the request
    words: tuple[str, ...]  # lower case, stop words included
    terms: frozenset[str]  # stems and concepts
    kinds: tuple[str, ...]  # of data, in the order mentioned


@dataclass(frozen=True, slots=True)
class Sentence:
    """A whole request, parsed."""

    text: str
    clauses: tuple[Clause, ...]
    kinds: frozenset[str]  # of data it mentions by name, file ending or address


def stem(word: str) -> str:
    """What is left of a word without its ending: `translator` and `translated` become one."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= STEM_CHARS_MIN:
            word = word[: -len(suffix)]
            break
    return word[:-1] if len(word) > STEM_CHARS_MIN and word[-1] == word[-2] else word


def words_of(text: str) -> tuple[str, ...]:
    """The words and numbers of a text, in lower case."""
    return tuple(_WORD.findall(text.lower()))


def terms_of(words: tuple[str, ...]) -> frozenset[str]:
    """Stems and concepts of words that carry meaning."""
    terms: set[str] = set()
    for word in words:
        if word in STOPWORDS or len(word) < 2:
            continue
        root = stem(word)
        terms.add(root)
        terms.update(CONCEPT_OF_WORD.get(word) or _CONCEPT_OF_STEM.get(root, ()))
    return frozenset(terms)


def kinds_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds of data that words mention, in order."""
    found = (KIND_OF_WORD.get(word) or KIND_OF_WORD.get(word.removesuffix("s")) for word in words)
    return tuple(kind for kind in found if kind is not None)


def parse_sentence(text: str) -> Sentence:
    """A request as clauses; raises Mistake if it is empty and TooLarge above REQUEST_CHARS_MAX."""
    if len(text) > REQUEST_CHARS_MAX:
        raise TooLarge(
            f"a request of {len(text)} characters, at most {REQUEST_CHARS_MAX}",
            place="request",
            remedy="pass long data as an input, not in the request",
        )
    plain = _without_data(text)
    clauses: list[Clause] = []
    start = 0
    for cut in [*_BREAK.finditer(plain), None]:
        end = cut.start() if cut else len(plain)
        piece = plain[start:end]
        words = words_of(piece)
        if words:
            clauses.append(Clause(text[start:end].strip(), start, words, terms_of(words), kinds_of(words)))
        start = cut.end() if cut else end
    if not clauses and (words := words_of(text)):  # all of it stands in quotation marks
        clauses.append(Clause(text.strip(), 0, words, terms_of(words), kinds_of(words)))
    if not clauses:
        raise Mistake("there are no words in it", place="request", remedy="say what should be done")
    return Sentence(text, tuple(clauses), frozenset(kind for clause in clauses for kind in clause.kinds))


def _without_data(text: str) -> str:
    """The same text, as long as before, with addresses, file names and quoted data put as their kind."""
    text = URL.sub(lambda found: " url".ljust(len(found[0])), text)
    text = FILE.sub(lambda found: _file_kind(found[1]).ljust(len(found[0]))[: len(found[0])], text)
    return QUOTED.sub(_quoted, text)


def _file_kind(ending: str) -> str:
    ending = ending.lower()
    return _FILE_KINDS.get(ending) or KIND_OF_WORD[ending]


def _quoted(found: re.Match[str]) -> str:
    inside = found[2].strip()
    return found[0] if len(inside.split()) <= 3 else " ".ljust(len(found[0]))


_CONCEPT_OF_STEM: Final[dict[str, tuple[str, ...]]] = {}
for _word, _concepts in CONCEPT_OF_WORD.items():
    _CONCEPT_OF_STEM.setdefault(stem(_word), _concepts)
