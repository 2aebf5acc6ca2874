"""IntentRecognizer: what kind of thing is wanted, clause by clause and as a whole.

An intent is told by the verb and the concepts of a clause, the verb counting twice. The whole request is
about what its last clauses want: what comes first is usually a means to that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from swarm.decompose.lexicon import spoken_list
from swarm.decompose.parse.language import Clause, parse_sentence, stem, terms_of

VERB_WEIGHT: Final = 2.0
LAST_WEIGHT: Final = 1.5  # of the last clause, against 1 for each other


class Intent(StrEnum):
    """What is wanted of the data."""

    RETRIEVE = "retrieve"  # find it, fetch it, look it up
    EXTRACT = "extract"  # take a part of it out
    TRANSFORM = "transform"  # the same in another form
    ANALYZE = "analyze"  # say something about it
    AGGREGATE = "aggregate"  # many into one
    GENERATE = "generate"  # make something that was not there
    DELIVER = "deliver"  # hand it to somebody
    MANAGE = "manage"  # change the state of something outside
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClauseIntent:
    """The intent of one clause; confidence is its share of what the words speak for."""

    words: str
    intent: Intent
    confidence: float


@dataclass(frozen=True, slots=True)
class Intents:
    """The intent of a request, and of its clauses."""

    main: Intent
    confidence: float
    clauses: tuple[ClauseIntent, ...]


_WORDS: Final = {
    Intent.RETRIEVE: "find search look fetch download retrieve query get browse check show list read view",
    Intent.EXTRACT: "extract pick select filter isolate pull separate keep parse detect recognize split",
    Intent.TRANSFORM: "translate convert transcribe change transform modify adjust rewrite simplify rephrase"
    " correct edit colorize stabilize resize turn format clean normalize sort apply remove denoise",
    Intent.ANALYZE: "analyze classify evaluate compare measure score predict assess detect label rate review"
    " determine estimate explain sentiment",
    Intent.AGGREGATE: "count sum total average merge combine join summarize group tally stitch collect",
    Intent.GENERATE: "generate create write compose draw make produce synthesize paint design build plot",
    Intent.DELIVER: "send email notify publish post share print deliver upload report forward message",
    Intent.MANAGE: "book reserve cancel schedule set order buy delete update add register pay open rename",
}
_INTENTS_OF: Final[dict[str, list[Intent]]] = {}
for _intent, _words in _WORDS.items():
    for _word in spoken_list(_words):
        _INTENTS_OF.setdefault(stem(_word), []).append(_intent)


def recognize_intents(text: str) -> Intents:
    """What a request wants; raises what `parse_sentence` raises."""
    clauses = [_clause(each) for each in parse_sentence(text).clauses]
    votes: defaultdict[Intent, float] = defaultdict(float)
    for at, each in enumerate(clauses, start=1):
        if each.intent is not Intent.UNKNOWN:
            votes[each.intent] += each.confidence * (LAST_WEIGHT if at == len(clauses) else 1.0)
    if not votes:
        return Intents(Intent.UNKNOWN, 0.0, tuple(clauses))
    main, weight = max(votes.items(), key=lambda vote: vote[1])
    return Intents(main, weight / sum(votes.values()), tuple(clauses))


def _clause(clause: Clause) -> ClauseIntent:
    votes: defaultdict[Intent, float] = defaultdict(float)
    first = next((stem(word) for word in clause.words if stem(word) in _INTENTS_OF), "")
    for term in {*(stem(word) for word in clause.words), *terms_of(clause.words)}:
        found = _INTENTS_OF.get(term, [])
        for intent in found:
            votes[intent] += (VERB_WEIGHT if term == first else 1.0) / len(found)
    if not votes:
        return ClauseIntent(clause.text, Intent.UNKNOWN, 0.0)
    order = list(Intent)
    intent = max(votes, key=lambda each: (votes[each], -order.index(each)))
    return ClauseIntent(clause.text, intent, votes[intent] / sum(votes.values()))
