"""What makes a replica stop rather than go on with a log it cannot vouch for."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.errors import Problem, SwarmError

_REMEDY = (
    "restore the data directory from a copy of this very node, or let the node join under a new id; "
    "emptying the directory and keeping the id would forget what the node acknowledged"
)


class LogDamaged(SwarmError):
    """The files of a replica do not hold what was written to them; an operator has to decide."""

    code = "log_damaged"

    def __init__(
        self, message: str, *, place: str = "", remedy: str = _REMEDY, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, place=place, remedy=remedy, problems=problems)
