"""The engine that picks an engine for every batch: the one whose measured cost is least for so many rows."""

from collections.abc import Mapping
from typing import ClassVar

from af.engines.costs import Costs, remembered
from af.engines.engine import Engine, ForwardOnly
from af.network import Floats, Network


class AutoEngine(ForwardOnly):
    """Several engines of one network. The choice is by the costs alone, so it is the same every time."""

    name: ClassVar[str] = "auto"

    def __init__(self, network: Network, engines: Mapping[str, Engine], costs: Costs | None = None) -> None:
        assert engines
        self._engines = engines
        self.costs = costs or remembered(network, engines)
        self._choices: dict[int, Engine] = {}

    def chosen(self, rows: int) -> str:
        """The name of the engine for a batch of so many rows."""
        return self.costs.cheapest(rows)

    def forward(self, batch: Floats) -> Floats:
        rows = len(batch)
        engine = self._choices.get(rows)
        if engine is None:
            engine = self._engines[self.chosen(rows)]
            if len(self._choices) < _CHOICES_MAX:
                self._choices[rows] = engine
        return engine.forward(batch)


_CHOICES_MAX = 1_024  # batch sizes remembered with their engine
