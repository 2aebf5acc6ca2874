"""What every engine can be asked, and how one says that it cannot."""

from typing import ClassVar, Protocol

from af.errors import AfNotReady, Problem
from af.network import Floats


class Engine(Protocol):
    """A network ready to compute: float32 rows in, float32 rows out."""

    name: ClassVar[str]

    def forward(self, batch: Floats) -> Floats: ...

    def train(self, batch: Floats, target: Floats) -> float:
        """One step towards the targets; the loss before it. AfNotReady where the engine does not learn."""
        ...


class ForwardOnly:
    """The half of an engine that does not learn."""

    name: ClassVar[str]

    def train(self, batch: Floats, target: Floats) -> float:
        del batch, target
        message = f"the engine {self.name} computes, it does not learn."
        raise AfNotReady([Problem("engine", message, "train with torch or wasm.")])


def missing(package: str, extra: str, reason: object) -> AfNotReady:
    """An engine whose library is not installed."""
    message = f"{package} is not installed here ({reason})."
    return AfNotReady([Problem("engine", message, f"pip install 'neural-swarm[{extra}]'.")])
