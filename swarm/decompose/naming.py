"""Which capability the action of a step means: by its name where that is told, by its words otherwise.

`text.translate`, `translate` and `Translate Text` may all mean `text:translate`. A name that is the
capability's own, or its element where only one capability has that element, is taken as meant; anything else
is matched by its words as a clause of a sentence would be, and says how sure that is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarm.decompose.matching import Matcher
from swarm.decompose.parse.language import parse_sentence
from swarm.decompose.records import Capability
from swarm.errors import Mistake, TooLarge

MATCH_MIN: Final = 0.5  # of the words of an action; below it they say nothing
ACTION_CHARS_MAX: Final = 400  # of an action that are read: a step's script may be long
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_APART: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """The capability that an action means, and how likely."""

    capability: str
    confidence: float


class Names:
    """Finds capabilities of one catalogue by what steps call them."""

    def __init__(self, capabilities: Sequence[Capability]) -> None:
        self._matcher = Matcher(capabilities)
        self._known: dict[str, set[str]] = {}
        for each in capabilities:
            element = each.name.partition(":")[2] or each.name
            for key in {_key(each.name), _key(element)}:
                self._known.setdefault(key, set()).add(each.name)

    def meaning(self, action: str) -> Meaning | None:
        """What `action` means, or None if nothing of the catalogue fits."""
        versioned = "/" in action and " " not in action  # owner/name@version
        spoken = action.partition("@")[0] if versioned else action
        parts = _key(spoken).split("_")
        for start in range(min(len(parts), 3)):
            found = self._known.get("_".join(parts[start:]), set())
            if len(found) == 1:
                return Meaning(next(iter(found)), 1.0)
        words = _APART.sub(" ", _CAMEL.sub(" ", spoken[:ACTION_CHARS_MAX]).lower())
        try:
            scores = self._matcher.scores(parse_sentence(words)).max(0, initial=0.0)
        except (Mistake, TooLarge):  # no words in it
            return None
        if not len(scores) or scores.max() < MATCH_MIN:
            return None
        best = int(scores.argmax())
        return Meaning(self._matcher.capabilities[best].name, min(float(scores[best]), 0.95))


def _key(name: str) -> str:
    return _APART.sub("_", _CAMEL.sub("_", name).lower()).strip("_")
