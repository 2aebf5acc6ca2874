"""What every file people write is read into: checked models that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Misfit(NamedTuple):
    """Two parts of a file that are right alone and wrong together: where the second one stands, and why."""

    place: tuple[str | int, ...]
    message: str
    remedy: str


class Section(BaseModel):
    """Base of every settings model: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def misfits(self) -> Iterator[Misfit]:
        """What does not fit together; asked of the whole document once each part of it is right."""
        return iter(())


def wrong(message: str, remedy: str) -> PydanticCustomError:
    """What a validator raises: a message and what to do about it."""
    return PydanticCustomError("refused", "{message}", {"message": message, "remedy": remedy})
