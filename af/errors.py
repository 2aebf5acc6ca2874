"""Every error this package raises, each one a list of problems with a place and a remedy.

A file is refused once, with everything that is wrong with it: whoever repairs it should not have to learn the
problems one at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass


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


class AfRefused(AfError):  # noqa: N818 - it says what happened to the file, which is what the caller acts on
    """The file is not acceptable; its author has to change it."""


class AfNotReady(AfError):  # noqa: N818 - see AfRefused
    """The file is fine, but this machine lacks something that is needed to run it."""


def refused(place: str, message: str, remedy: str) -> AfRefused:
    """A refusal with a single problem."""
    return AfRefused((Problem(place, message, remedy),))
