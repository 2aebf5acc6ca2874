"""What the first stage says of one request: scores per capability, for the whole text and for each clause.

Three sources that fail in different ways: a linear model over the whole request, the same kind of
model over single clauses (trained on the known words of each step, or on the clause that
matched the step best), and the matcher, which knows only the capabilities' descriptions. Where a pretrained
encoder is given, it is a fourth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.habits import Habits, fit_habits
from swarm.decompose.learn.neighbours import Near, Neighbours, fit_neighbours
from swarm.decompose.learn.ridge import Floats, Linear, fit_linear
from swarm.decompose.learn.sense import Sense, Sensed, fit_sense
from swarm.decompose.learn.vectors import Vocabulary, fit_vocabulary
from swarm.decompose.matching import Matcher
from swarm.decompose.parse.language import Sentence, parse_sentence
from swarm.decompose.records import Capability, Example

REQUEST_PENALTY: Final = 0.2
CLAUSE_PENALTY: Final = 0.5
CLAUSES_MAX: Final = 40  # of one request that are looked at one by one


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores of one request; `clauses` and `match` have one row per clause."""

    sentence: Sentence
    whole: Floats
    clauses: Floats
    match: NDArray[np.float64]
    near: Near
    link_votes: dict[tuple[int, int], float]
    sensed: Sensed | None = None
    sensed_votes: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def asked(self) -> Floats:
        """How plainly each clause asks for each capability, all sources together."""
        found: Floats = self.clauses + (self.match / 2).astype(np.float32)
        if self.sensed is not None:
            found = found + self.sensed.clauses + self.sensed.match * np.float32(0.5)
        return found


@dataclass(frozen=True, slots=True)
class Base:
    """The first stage, trained."""

    matcher: Matcher
    vocabulary: Vocabulary
    request: Linear
    clause: Linear
    habits: Habits
    neighbours: Neighbours
    sense: Sense | None = None

    def evidence(self, text: str) -> Evidence:
        sentence = parse_sentence(text)
        pieces = sentence.clauses[:CLAUSES_MAX]
        vector = self.vocabulary.encode(text)
        near = self.neighbours.near(vector, len(self.vocabulary.index))
        texts = [piece.text for piece in pieces]
        sensed = self.sense.sensed(text, texts, self.neighbours) if self.sense else None
        return Evidence(
            sentence,
            self.request.scores(vector),
            np.array([self.clause.scores(self.vocabulary.encode(piece)) for piece in texts]),
            self.matcher.scores(sentence)[:CLAUSES_MAX],
            near,
            self.neighbours.link_votes(near),
            sensed,
            self.neighbours.link_votes(sensed.near) if sensed else {},
        )


def fit_base(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    encoder: TextEncoder | None = None,
    reworded: Sequence[Example] = (),
) -> Base:
    """The first stage from examples.

    The linear models are taught by `reworded` too, as by requests of their own; what is usual, and which
    known request is near, is learnt from the examples alone.
    """
    index = {each.name: at for at, each in enumerate(capabilities)}
    matcher = Matcher(capabilities)
    described = [f"{each.name.replace('_', ' ')}. {each.description}" for each in capabilities]
    taught = [*examples, *reworded]
    texts = [each.text for each in taught]
    vocabulary = fit_vocabulary(texts + described)
    size = len(vocabulary.index)
    targets = np.zeros((len(taught), len(index)), np.float32)
    for row, example in enumerate(taught):
        targets[row, [index[name] for name in example.nodes]] = 1.0
    vectors = [vocabulary.encode(text) for text in texts]
    request = fit_linear(vectors, targets, size, REQUEST_PENALTY)
    pieces = _steps(taught, index, matcher, request, vocabulary)
    pieces += [(text, (at,)) for at, text in enumerate(described)]
    marks = np.zeros((len(pieces), len(index)), np.float32)
    for row, (_, columns) in enumerate(pieces):
        marks[row, list(columns)] = 1.0
    clause = fit_linear([vocabulary.encode(text) for text, _ in pieces], marks, size, CLAUSE_PENALTY)
    links = [[(index[source], index[target]) for source, target in each.links] for each in examples]
    known = len(examples)
    neighbours = fit_neighbours(vectors[:known], targets[:known], links)
    sense = None
    if encoder is not None:
        sense = fit_sense(
            encoder,
            capabilities,
            texts,
            targets,
            [text for text, _ in pieces],
            marks,
            known,
        )
    return Base(matcher, vocabulary, request, clause, fit_habits(examples, index), neighbours, sense)


def _steps(
    examples: Sequence[Example],
    index: dict[str, int],
    matcher: Matcher,
    request: Linear,
    vocabulary: Vocabulary,
) -> list[tuple[str, tuple[int, ...]]]:
    """Clauses with the capabilities they ask for: as given, else guessed within the known answer."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for example in examples:
        if example.steps:
            found += [(text, (index[name],)) for name, text in example.steps if name in index]
            continue
        sentence = parse_sentence(example.text)
        clauses = sentence.clauses[:CLAUSES_MAX]
        score = matcher.scores(sentence)[:CLAUSES_MAX]
        score = score + [request.scores(vocabulary.encode(piece.text)) for piece in clauses]
        nodes = [index[name] for name in example.nodes]
        asked: dict[int, list[int]] = {row: [] for row in range(len(clauses))}
        for node in nodes:
            asked[int(score[:, node].argmax())].append(node)
        found += [(clauses[row].text, tuple(columns)) for row, columns in asked.items()]
    return found
