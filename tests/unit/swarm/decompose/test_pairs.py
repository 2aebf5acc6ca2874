"""Rows about pairs, and what a scorer of them changes."""

import numpy as np
import pytest

from swarm.decompose.matching import Matcher
from swarm.decompose.pairs import PAIR_FEATURES, pair_rows
from swarm.decompose.parse.language import parse_sentence
from swarm.decompose.records import Capability
from swarm.decompose.strategies.heuristic import HeuristicEngine
from tests.unit.swarm.decompose.catalogues import CATALOGUE

REQUEST = "Transcribe the speech, then translate the text."


@pytest.mark.parametrize(
    "catalogue", [CATALOGUE, CATALOGUE[:1], [Capability("a"), Capability("b:c", "Speech.")]]
)
def test_there_is_one_finite_row_per_capability(catalogue):
    matcher = Matcher(catalogue)
    sentence = parse_sentence(REQUEST)
    rows = pair_rows(sentence, matcher.scores(sentence), matcher)
    assert rows.shape == (len(catalogue), PAIR_FEATURES)
    assert np.isfinite(rows).all()


def names(scorer):
    found = HeuristicEngine(CATALOGUE, scorer).decompose(REQUEST)
    assert found.engine == "hybrid"
    return [step.capability for step in found.subtasks]


def test_a_scorer_drops_what_it_finds_very_unlikely_and_adds_what_it_finds_likely():
    assert names(lambda rows: np.full(len(rows), 0.3)) == ["Audio-to-Text", "Translator"]
    assert names(lambda rows: np.zeros(len(rows))) == []
    assert set(names(lambda rows: np.ones(len(rows)))) == {each.name for each in CATALOGUE}
