"""Every error this package raises, each one a list of problems with a place and a remedy.

A file is refused once, with everything that is wrong with it: whoever repairs it should not have to learn the
problems one at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it is, what it is, and what to do about it."""

    place: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message} Remedy: {self.remedy}"


class AfError(Exception):
    """The base of all errors of this package; `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        if not self.problems:
            message = "an error without a problem is a bug in its raiser"
            raise ValueError(message)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AfRefused(AfError):
    """The file is not acceptable; its author has to change it."""


class AfNotReady(AfError):
    """The file is fine, but this machine lacks something that is needed to run it."""


def shown(value: object) -> str:
    """A value from a file for a message, shortened: a stranger does not get to write pages of our log."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "..."


def refused(place: str, message: str, remedy: str) -> AfRefused:
    """A refusal with a single problem."""
    return AfRefused((Problem(place, message, remedy),))
