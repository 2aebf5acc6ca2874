"""Reads the keys of a document's mappings, one kind of value at a time, and collects what is wrong.

A reader that fails tells so and gives a stand-in, so that reading goes on and every problem of the
document is told at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from swarm.doors.document.text import Found
from swarm.errors import Problem
from swarm.graph.names import Suggester, listed, shown, spoken

_Choice = TypeVar("_Choice")


class Complaints:
    """What is wrong with a document so far."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        self._suggester = Suggester()

    def add(self, found: Found, path: str, message: str, remedy: str, *, code: str = "bad_document") -> None:
        place = f"line {found.line}, {path}" if found.line else path
        self.problems.append(Problem(code, place, message, remedy))

    def add_unknown(
        self, found: Found, path: str, message: str, word: str, known: Collection[str], *, code: str
    ) -> None:
        """A word that is not one of `known`."""
        guess = self._suggester.did_you_mean(word, known)
        remedy = f"use one of: {listed(known)}"
        self.add(found, path, message, f"{guess} Otherwise {remedy}" if guess else remedy, code=code)

    def text(self, found: Found, path: str) -> str:
        """A text, or an empty one and a complaint."""
        if not isinstance(found.value, str):
            self.add(found, path, f"{said(found)} is no text", "put it in quotes")
            return ""
        return found.value


class Section:
    """One mapping of the document; with `keys`, others are complained about and not read."""

    def __init__(
        self, found: Found, path: str, complaints: Complaints, keys: Collection[str] | None = None
    ) -> None:
        self.found = found
        self.path = path
        self.complaints = complaints
        self._given: dict[str, Found] = {}
        if isinstance(found.value, dict):
            self._given = found.value
        else:
            complaints.add(
                found, path or "document", f"{said(found)} is no mapping", "write `key: value` pairs"
            )
        for key in () if keys is None else self._given.keys() - keys:
            message = f"unknown key {shown(key)}"
            complaints.add_unknown(
                self._given[key], path or "document", message, key, keys or (), code="unknown_key"
            )

    def __contains__(self, key: str) -> bool:
        return key in self._given

    def __getitem__(self, key: str) -> Found:
        return self._given[key]

    def items(self) -> Iterator[tuple[str, Found, str]]:
        """Every key, its value and its path."""
        for key, found in self._given.items():
            yield key, found, self.at(key)

    def at(self, key: str) -> str:
        return f"{self.path}.{spoken(key)}" if self.path else spoken(key)

    def require(self, key: str, example: str) -> None:
        if key not in self._given:
            self.complaints.add(
                self.found, self.at(key), "it is missing", f"write {example}", code="missing_key"
            )

    def section(self, key: str, keys: Collection[str] | None = None) -> Section:
        """The mapping under `key`, empty if it is not there."""
        return Section(self._given.get(key, _EMPTY), self.at(key), self.complaints, keys)

    def each(self, key: str) -> Iterator[tuple[Found, str]]:
        """The values of the list under `key`, and their paths."""
        found = self._given.get(key, _NO_ITEMS)
        if not isinstance(found.value, list):
            self.complaints.add(found, self.at(key), f"{said(found)} is no list", "write a list")
            return
        for index, one in enumerate(found.value):
            yield one, f"{self.at(key)}[{index}]"

    def text(self, key: str, default: str = "") -> str:
        return self.complaints.text(self._given[key], self.at(key)) if key in self._given else default

    def whole(self, key: str, default: int) -> int:
        value = self._given[key].value if key in self._given else default
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._complain(key, "is no whole number", "write a whole number")
        return default

    def number(self, key: str, default: float) -> float:
        value = self._given[key].value if key in self._given else default
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        self._complain(key, "is no number", "write a number")
        return default

    def choice(self, key: str, choices: Mapping[str, _Choice], default: _Choice) -> _Choice:
        word = self.text(key)
        if word and word not in choices:
            message = f"unknown choice {shown(word)}"
            self.complaints.add_unknown(
                self._given[key], self.at(key), message, word, choices, code="unknown_choice"
            )
        return choices.get(word, default)

    def _complain(self, key: str, message: str, remedy: str) -> None:
        found = self._given[key]
        self.complaints.add(found, self.at(key), f"{said(found)} {message}", remedy)


def said(found: Found) -> str:
    """A value as it may stand in a message."""
    match found.value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return shown(found.value)


_EMPTY = Found({})
_NO_ITEMS = Found([])
