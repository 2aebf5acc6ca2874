"""Everything that can go wrong with a cell, as types a caller can act on.

Four kinds, by what happened: the host or a rule said no (`Refused`), a bound was hit (`Exceeded`), the
cell died or broke the protocol (`Broken`), or the agent itself raised (`AgentFailed`). Text that came
out of a cell was written by a stranger: it is cut and cleaned here before it may reach a log or a
terminal.
"""

from __future__ import annotations

AGENT_TEXT_CHARS_MAX = 2000  # of a stranger's words kept in one error


def clean_text(text: str, chars_max: int = AGENT_TEXT_CHARS_MAX) -> str:
    """Cut a stranger's text and take out what could steer a terminal or forge a log line."""
    cut = text[: chars_max + 1]
    lines = " | ".join(line for line in cut.splitlines() if line.strip())
    safe = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in lines)
    return safe if len(safe) <= chars_max else safe[: chars_max - 1] + "\N{HORIZONTAL ELLIPSIS}"


class CellError(Exception):
    """Base of every error of this package: a stable code, the place and what to do about it."""

    code = "cell.error"

    def __init__(self, message: str, *, place: str = "", remedy: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        cure = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.message}{cure}"


class Refused(CellError):
    """The host lacks a layer, or a rule forbids what was asked; nothing of the agent ran."""

    code = "cell.refused"


class Exceeded(CellError):
    """A limit was hit; `limit`, `value` and `asked` say which, where it stands and what was wanted."""

    code = "cell.exceeded"

    def __init__(
        self, limit: str, value: float, asked: float | str, *, place: str = "", remedy: str = ""
    ) -> None:
        super().__init__(
            f"{limit} is {value:g}, asked: {asked}",
            place=place,
            remedy=remedy or f"ask for less or raise {limit}",
        )
        self.limit = limit
        self.value = value
        self.asked = asked


class Broken(CellError):
    """The cell died, or answered with bytes that are no answer; it has been or will be killed."""

    code = "cell.broken"


class AgentFailed(CellError):
    """The agent's own code raised; the cell is unharmed and takes the next call."""

    code = "cell.agent_failed"

    def __init__(self, message: str, *, place: str = "", remedy: str = "") -> None:
        super().__init__(clean_text(message), place=clean_text(place, 200), remedy=remedy)
