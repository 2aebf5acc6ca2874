"""What a name may look like, how a stranger's text is quoted, and "did you mean".

Names are plain ASCII: they end up in file names, metric labels and terminals, and no two of them
may look the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

from swarm import limits
from swarm.graph.model import KINDS

NAME_RULE = f"1 to {limits.NAME_CHARS_MAX} letters, digits and any of _ . - (the first a letter, digit or _)"
CAPABILITY_RULE = "group:element, both of lower-case letters, digits and any of _ . -"
TITLE_RULE = f"1 to {limits.NAME_CHARS_MAX} printable characters, no space at either end"

PAYLOAD_KINDS = frozenset(KINDS) - {"any"}
SHOWN_CHARS_MAX = 60
LISTED_NAMES_MAX = 12
SUGGESTIONS_MAX = 20  # in one report: each looks at every known name
CLOSE_NAMES_MAX = 500  # compared letter by letter for one suggestion

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_CAPABILITY = re.compile(r"[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*")


def is_name(text: str) -> bool:
    """For nodes, ports, feeds and outlets."""
    return len(text) <= limits.NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


def is_capability(text: str) -> bool:
    """For capabilities: `group:element`."""
    return len(text) <= limits.NAME_CHARS_MAX and _CAPABILITY.fullmatch(text) is not None


def is_title(text: str) -> bool:
    """For graphs, whose names are read by people only."""
    return 0 < len(text) <= limits.NAME_CHARS_MAX and text.isprintable() and text == text.strip()


def shown(value: object) -> str:
    """A stranger's value as it may stand in a message: quoted, escaped, short."""
    if isinstance(value, str | bytes):
        value = value[: SHOWN_CHARS_MAX + 1]
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}..."


def spoken(name: str) -> str:
    """A name as it stands in messages: bare when it is a good one or a capability's."""
    return name if all(map(is_name, name.split(":", 1))) else shown(name)


def listed(names: Iterable[str]) -> str:
    """The first of perhaps very many names, for a message."""
    first = [spoken(name) for name in islice(names, LISTED_NAMES_MAX + 1)]
    return ", ".join([*first[:LISTED_NAMES_MAX], "..."] if len(first) > LISTED_NAMES_MAX else first) or "none"


class Suggester:
    """Gives the closest known name, for the first few of perhaps very many mistakes."""

    def __init__(self) -> None:
        self._left = SUGGESTIONS_MAX

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """`did you mean 'x'?`, or nothing where no known name is close."""
        if self._left == 0 or len(word) > limits.NAME_CHARS_MAX:
            return ""
        self._left -= 1
        near = [name for name in known if abs(len(name) - len(word)) <= 2 + len(word) // 4]
        if len(near) > CLOSE_NAMES_MAX:
            near = [name for name in near if name[:1] == word[:1] or name[-1:] == word[-1:]][:CLOSE_NAMES_MAX]
        found = difflib.get_close_matches(word, near, n=1)
        return f"did you mean {shown(found[0])}?" if found else ""
