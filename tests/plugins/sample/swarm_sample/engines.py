"""An engine that believes the last word of a request, one of the future, and one that makes things up."""

from swarm.decompose.records import Decomposition, SubTask
from swarm.plugins import DecompositionPlugin


class LastWord:
    """Asks for whatever capability has the last word of the request in its name."""

    name = "last-word"

    def __init__(self, capabilities):
        self.capabilities = capabilities

    def decompose(self, request):
        word = request.split()[-1].strip(".").lower()
        if word == "raise":
            message = "it was told to"
            raise RuntimeError(message)
        steps = tuple(
            SubTask(each.name, word, 0.9) for each in self.capabilities if word in each.name.partition(":")[2]
        )
        return Decomposition(self.name, request, steps[:1], (), 0.9, () if steps else (request,))


class Inventive(LastWord):
    def decompose(self, request):
        return Decomposition(self.name, request, (SubTask("made:up", request, 1.0),), (), 1.0)


LAST_WORD = DecompositionPlugin("last-word", "1.2.0", (1, 0), ("sentence",), LastWord)
INVENTIVE = DecompositionPlugin("inventive", "0.1", (1, 0), ("sentence",), Inventive)
FUTURE = DecompositionPlugin("future", "9.0", (2, 0), ("sentence",), LastWord)
