"""The shipped agent that scores (request, capability) pairs, run as any agent's network is."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import af
import swarm
from af.engines.numpy_engine import NumpyEngine
from af.weights import WEIGHTS, network_from
from swarm.decompose.pairs import PAIR_FEATURES
from swarm.errors import AgentRefused, Problem

AGENT: Final = Path("requests", "requests.af")
_PACKAGE = Path(swarm.__file__).resolve().parent
_PLACES: Final = (_PACKAGE / "_agents", _PACKAGE.parent / "agents")  # in a wheel, in the source tree


class AgentScorer:
    """The network of a neural agent of the right sizes, as a function of rows."""

    def __init__(self, data: bytes) -> None:
        try:
            agent = af.parse(data)
        except af.AfError as error:
            raise _refused(error.problems) from error
        config = agent.header.neural_config
        if problems := af.check(agent):
            raise _refused(problems)
        if config is None or (config.input_size, config.output_size) != (PAIR_FEATURES, 1):
            raise _refused(())
        weights = agent.section(WEIGHTS)
        assert weights is not None  # or `check` would have told
        self._engine = NumpyEngine(network_from(config, weights))

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._engine.forward(np.ascontiguousarray(rows, np.float32))[:, 0]
        return found


def _refused(problems: Iterable[af.Problem]) -> AgentRefused:
    found = [Problem("agent_refused", each.place, each.message, each.remedy) for each in problems]
    return AgentRefused(
        "this agent scores no pairs",
        place=str(AGENT),
        remedy=f"it must take {PAIR_FEATURES} numbers and give one",
        problems=found,
    )


@functools.cache
def shipped_scorer() -> AgentScorer | None:
    """The scorer that came with this installation; None if it was taken out of it."""
    path = next((place / AGENT for place in _PLACES if (place / AGENT).is_file()), None)
    return None if path is None else AgentScorer(path.read_bytes())
