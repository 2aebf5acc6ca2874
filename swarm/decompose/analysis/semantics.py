"""SemanticAnalyzer: what each clause does to what, which data is named, and how clauses hang together.

By rules over the parsed sentence: nothing is learnt and no capability is known. An entity is data that stands
in the request itself (a file, an address, a quotation, a number); a relation is what a connective
between two clauses says of their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from swarm.decompose.lexicon import STOPWORDS, spoken_list
from swarm.decompose.matching import conversion_of
from swarm.decompose.parse.language import FILE, QUOTED, URL, Clause, Sentence, parse_sentence

ENTITIES_MAX: Final = 64
ENTITY_CHARS_MAX: Final = 80


class EntityKind(StrEnum):
    """What a piece of data in a request is."""

    FILE = "file"
    ADDRESS = "address"
    QUOTATION = "quotation"
    NUMBER = "number"


class Relation(StrEnum):
    """What stands between two neighbouring clauses."""

    THEN = "then"  # the second comes after the first
    AND = "and"  # nothing is said of their order
    BUT_FIRST = "before"  # the second comes before the first
    IF = "if"  # one is a condition of the other


@dataclass(frozen=True, slots=True)
class Entity:
    """Data that the request itself holds."""

    kind: EntityKind
    text: str
    start: int  # characters before it


@dataclass(frozen=True, slots=True)
class Action:
    """One clause: a verb, what it is done to, and the kinds of data that go in and come out."""

    words: str
    verb: str
    objects: tuple[str, ...]
    takes: str  # a kind of data; empty where the clause does not say
    gives: str
    for_each: bool  # it is said of each of several things


@dataclass(frozen=True, slots=True)
class Semantics:
    """What a request says, clause by clause."""

    actions: tuple[Action, ...]
    entities: tuple[Entity, ...]
    kinds: tuple[str, ...]
    relations: tuple[Relation, ...]  # one fewer than actions


_THEN: Final = re.compile(r"\b(then|after that|afterwards|finally|next|lastly)\b|[.;!?\n]", re.IGNORECASE)
_BEFORE: Final = re.compile(r"\bbefore\b", re.IGNORECASE)
_AFTER: Final = re.compile(r"\bafter\b(?! that)", re.IGNORECASE)
_IF: Final = re.compile(r"\b(if|unless|when|in case)\b", re.IGNORECASE)
_EACH: Final = frozenset(spoken_list("each every all both per"))
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_POLITE: Final = frozenset(
    spoken_list("please can could you i we want would like need to also kindly help me us then and but let s")
)


def analyze_semantics(text: str) -> Semantics:
    """The meaning of a request, as far as rules tell; raises what `parse_sentence` raises."""
    sentence = parse_sentence(text)
    actions = tuple(_action(clause) for clause in sentence.clauses)
    relations = tuple(_relation(sentence, one, two) for one, two in pairwise(sentence.clauses))
    return Semantics(actions, tuple(_entities(text)), tuple(sorted(sentence.kinds)), relations)


def _action(clause: Clause) -> Action:
    words = [word for word in clause.words if word not in _POLITE]
    verb = words[0] if words else clause.words[0]
    objects = tuple(dict.fromkeys(word for word in words[1:] if word not in STOPWORDS and word not in _EACH))
    takes, gives = conversion_of(clause) or ("", "")
    return Action(clause.text, verb, objects, takes, gives, bool(_EACH & set(words)))


def _relation(sentence: Sentence, one: Clause, two: Clause) -> Relation:
    between = sentence.text[one.start + len(one.text) : two.start + 1]
    if _IF.match(one.text) or _IF.match(two.text):
        return Relation.IF
    if _BEFORE.search(between):
        return Relation.THEN
    if _AFTER.search(between):
        return Relation.BUT_FIRST
    return Relation.THEN if _THEN.search(between) else Relation.AND


def _entities(text: str) -> list[Entity]:
    found: list[Entity] = []
    covered: list[tuple[int, int]] = []
    for kind, pattern in (
        (EntityKind.ADDRESS, URL),
        (EntityKind.FILE, FILE),
        (EntityKind.QUOTATION, QUOTED),
        (EntityKind.NUMBER, _NUMBER),
    ):
        for match in pattern.finditer(text):
            inside = any(start < match.end() and match.start() < end for start, end in covered)
            if not inside and len(found) < ENTITIES_MAX:
                found.append(Entity(kind, match[0].strip("'\"")[:ENTITY_CHARS_MAX], match.start()))
                covered.append(match.span())
    return sorted(found, key=lambda entity: entity.start)
