"""HeuristicEngine: rules over clauses, words and kinds of data; no training, any catalogue.

Each clause asks for the capability it matches best, if it matches well enough. Sub-tasks then stand
in the order of their clauses, and each takes its inputs from the nearest earlier sub-task that gives
the right kind of data and whose result nobody has taken yet; where the catalogue declares no kinds,
sub-tasks form a chain. A clause that begins with an asking verb and matches nothing is told as unmapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np

from swarm.decompose.lexicon import spoken_list
from swarm.decompose.matching import Matcher, Matrix
from swarm.decompose.pairs import PairScorer, pair_rows
from swarm.decompose.parse.language import Clause, Sentence, parse_sentence, stem
from swarm.decompose.records import Capability, Decomposition, Dependency, SubTask

MATCH_MIN: Final = 0.5  # below it a clause says nothing about a capability
RUNNER_UP_LAG: Final = 0.03  # another capability this close to the best is meant too
SCORED_MAX: Final = 24  # capabilities of a request that a scorer is asked about: as many as it learnt from
LIKELY: Final = 0.6  # of a scorer's chance: what the rules missed is meant after all
UNLIKELY: Final = 0.1  # what the rules picked is not
EDGE_CONFIDENCE: Final = 0.5  # rules do not tell a sure edge from an unsure one
SUBTASKS_MAX: Final = 64
_ASKING: Final = frozenset(
    stem(word)
    for word in spoken_list(
        """add analyze apply book build buy calculate cancel change check clean combine convert count create
    delete describe detect download draw edit email export extract filter find forecast generate get
    identify label list make merge modify notify order paint play predict print publish rank read
    record remove rename reserve search send set show sort split summarize tell train transcribe
    translate update upload validate write"""
    )
)


@dataclass(frozen=True, slots=True)
class _Pick:
    """A capability chosen, by which clause, and how plainly."""

    column: int
    row: int
    score: float


class HeuristicEngine:
    """Decomposes by rules alone, or with a scorer that has learnt on other catalogues what a match is."""

    def __init__(self, capabilities: Sequence[Capability], scorer: PairScorer | None = None) -> None:
        self.capabilities = tuple(capabilities)
        self.matcher = Matcher(self.capabilities)
        self._scorer = scorer

    @property
    def name(self) -> str:
        return "heuristic" if self._scorer is None else "hybrid"

    def decompose(self, request: str) -> Decomposition:
        """The sub-tasks that the words of `request` ask for, and who takes whose result."""
        sentence = parse_sentence(request)
        scores = self.matcher.scores(sentence)
        picks = _picks(scores) if self._scorer is None else self._scored(sentence, scores, self._scorer)
        links = self.links([pick.column for pick in picks])
        names = [each.name for each in self.capabilities]
        steps = tuple(
            SubTask(names[pick.column], sentence.clauses[pick.row].text, self._confidence(pick.score))
            for pick in picks
        )
        return Decomposition(
            self.name,
            request,
            steps,
            tuple(Dependency(names[source], names[target], EDGE_CONFIDENCE) for source, target in links),
            float(np.prod([step.confidence for step in steps])) if steps else 0.0,
            _unmapped(sentence, scores, {pick.row for pick in picks}),
        )

    def _scored(self, sentence: Sentence, scores: Matrix, scorer: PairScorer) -> list[_Pick]:
        """What the rules pick, less what the scorer finds very unlikely, and what it alone finds likely."""
        likeliest = np.argsort(-scores.max(0), kind="stable")[:SCORED_MAX]
        rows = pair_rows(sentence, scores, self.matcher)[likeliest].astype(np.float32)
        chances = dict(zip(likeliest.tolist(), scorer(rows).tolist(), strict=True))
        picked = {pick.column: pick.row for pick in _picks(scores)}
        best = scores.argmax(0)
        found = [
            _Pick(column, picked.get(column, int(best[column])), chance)
            for column, chance in chances.items()
            if chance >= (UNLIKELY if column in picked else LIKELY)
        ]
        strongest = sorted(found, key=lambda pick: -pick.score)[:SUBTASKS_MAX]
        return sorted(strongest, key=lambda pick: (pick.row, -pick.score, pick.column))

    def _confidence(self, score: float) -> float:
        """A matching score squeezed into 0..1, where it only ranks; a scorer's chance as it is."""
        if self._scorer is not None:
            return score
        return float(1.0 / (1.0 + np.exp(-4.0 * (score - MATCH_MIN))))

    def links(self, order: Sequence[int]) -> list[tuple[int, int]]:
        """Edges among capabilities (by index) that stand in the given order."""
        profiles = self.matcher.profiles
        taken: set[int] = set()
        found: list[tuple[int, int]] = []
        for place, target in enumerate(order):
            earlier = list(order[:place])[::-1]
            takes = profiles[target].takes
            if not takes:
                sources = [each for each in earlier[:1] if not profiles[each].gives]
            else:
                sources = []
                for kind in takes:
                    fitting = [
                        each for each in earlier if kind in profiles[each].gives and each not in sources
                    ]
                    free = [each for each in fitting if each not in taken]
                    sources += (free or fitting)[:1]
            found += [(source, target) for source in sources]
            taken.update(sources)
        return found


def _picks(scores: Matrix) -> list[_Pick]:
    """The capabilities asked for, each once, in the order of the clauses that ask for it."""
    best: dict[int, _Pick] = {}
    for row, line in enumerate(scores):
        least = max(MATCH_MIN, float(line.max()) - RUNNER_UP_LAG)
        for column in np.flatnonzero(line >= least):
            pick = _Pick(int(column), row, float(line[column]))
            if pick.column not in best or best[pick.column].score < pick.score:
                best[pick.column] = pick
    strongest = sorted(best.values(), key=lambda pick: -pick.score)[:SUBTASKS_MAX]
    return sorted(strongest, key=lambda pick: (pick.row, -pick.score, pick.column))


def _unmapped(sentence: Sentence, scores: Matrix, mapped: AbstractSet[int]) -> tuple[str, ...]:
    rows = enumerate(zip(sentence.clauses, scores, strict=True))
    return tuple(
        clause.text
        for row, (clause, line) in rows
        if row not in mapped and line.max() < MATCH_MIN and _asks(clause)
    )


def _asks(clause: Clause) -> bool:
    meaning = [word for word in clause.words if word not in _POLITE]
    return bool(meaning) and stem(meaning[0]) in _ASKING


_POLITE: Final = frozenset(
    spoken_list("""please can could you i we want would like need to also kindly help me us then""")
)
