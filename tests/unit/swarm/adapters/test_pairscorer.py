"""The shipped network is an agent, and is run as agents are."""

from pathlib import Path

import numpy as np
import pytest

import af
from swarm.adapters.pairscorer import AgentScorer, shipped_scorer
from swarm.decompose.pairs import PAIR_FEATURES
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.errors import AgentRefused
from tests.unit.swarm.decompose.catalogues import CATALOGUE

AGENT = Path("agents/requests/requests.af")


def test_it_is_there_small_and_compiles_like_any_agent():
    data = AGENT.read_bytes()
    assert len(data) < 20_000_000
    run = af.executable(af.compile_agent(af.parse(data)))
    assert [each.name for each in run.capabilities] == ["swarm:pair-score"]


def test_it_scores_pairs_between_nothing_and_certainty():
    scorer = shipped_scorer()
    rows = np.random.default_rng(1).random((7, PAIR_FEATURES)).astype(np.float32)
    found = scorer(rows)
    assert found.shape == (7,)
    assert ((found >= 0) & (found <= 1)).all()


def test_with_it_a_plain_request_is_understood_as_by_the_rules():
    found = HeuristicEngine(CATALOGUE, shipped_scorer()).decompose(
        "Transcribe the speech, then translate it."
    )
    assert [step.capability for step in found.subtasks] == ["Audio-to-Text", "Translator"]


@pytest.mark.parametrize("data", [b"nonsense", Path("agents/digits/digits.af").read_bytes()])
def test_another_file_is_refused(data):
    with pytest.raises(AgentRefused, match="scores no pairs"):
        AgentScorer(data)
