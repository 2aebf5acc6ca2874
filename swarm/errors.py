"""The whole error tree, sorted by who must act.

    SwarmError
      Mistake        the caller asked for something that cannot be
        GraphRefused, AgentRefused, ConfigRefused, NotFound, Conflict, NotBuilt, NotAllowed
      PeerFault      another process broke the protocol, vanished, or is not who it should be
        NotLeader, OutcomeUnknown, NotTrusted, ProtocolBroken, Unreachable, NotHosted,
        RunFailed, AgentFailed, CellLost, NeedsDecision, DataLost
      LimitReached   a bound said no
        TooLarge, QueueFull, OutOfTime, OverLimit, StoreFull
      LogDamaged     the files of a replica do not hold what was written: an operator decides
      LogTooNew      a newer version wrote the log: an operator upgrades this daemon
      Bug            we broke our own rule; never caught, stops the process

Every error has a stable `code`, says where (`place`) and what to do (`remedy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason something was refused: where it is, what is wrong, what to do."""

    code: str
    place: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text} ({self.remedy})" if self.remedy else text


class SwarmError(Exception):
    """Root of everything we raise on purpose."""

    code = "swarm"

    def __init__(
        self, message: str, *, place: str = "", remedy: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy
        self.problems = tuple(problems)

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        if self.problems:
            text += "".join(f"\n  - {problem}" for problem in self.problems)
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text


class Mistake(SwarmError):
    """The caller asked for something that cannot be; asking again will not help."""

    code = "mistake"


class GraphRefused(Mistake):
    """A graph that cannot run; `problems` holds every reason."""

    code = "graph_refused"


class AgentRefused(Mistake):
    """An agent file that may not be deployed; `problems` holds every reason."""

    code = "agent_refused"


class PluginRefused(Mistake):
    """A plugin that does not fit this version, or cannot be told from another."""

    code = "plugin_refused"


class ConfigRefused(Mistake):
    """A configuration file or option that makes no sense."""

    code = "config_refused"


class NotFound(Mistake):
    """No such run, agent or node."""

    code = "not_found"


class Conflict(Mistake):
    """It exists already, or its state does not allow this."""

    code = "conflict"


class NotBuilt(Mistake):
    """A feature the model knows and this version cannot run yet."""

    code = "not_built"


class NotAllowed(Mistake):
    """The caller's role does not cover this."""

    code = "not_allowed"


class PeerFault(SwarmError):
    """Another process broke the protocol, vanished, or is not who it should be."""

    code = "peer_fault"


class NotLeader(PeerFault):
    """This replica may not decide; `hint` names the one that may, if known."""

    code = "not_leader"

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(
            f"the leader is {hint}" if hint else "there is no leader at the moment",
            remedy="ask the leader, or try again in a second",
        )
        self.hint = hint


class OutcomeUnknown(PeerFault):
    """It may or may not have been committed: retry with the same idempotency key."""

    code = "outcome_unknown"


class NotTrusted(PeerFault):
    """A certificate that is missing, expired, of another authority or of another node."""

    code = "not_trusted"


class ProtocolBroken(PeerFault):
    """A message that no honest peer sends."""

    code = "protocol_broken"


class Unreachable(PeerFault):
    """Nobody answers at the address."""

    code = "unreachable"


class NotHosted(Unreachable):
    """A node was given a step of an agent it does not host any more: nothing of it has begun."""

    code = "not_hosted"


class RunFailed(PeerFault):
    """A run ended without succeeding; the message names the step and its error."""

    code = "run_failed"


class NeedsDecision(PeerFault):
    """Something that must not happen twice may have happened: only a person can tell whether to go on."""

    code = "needs_decision"


class NotDone(PeerFault):
    """An agent says of an attempt that must not run twice: nothing came of it, and nothing will."""

    code = "not_done"


class PluginFailed(PeerFault):
    """A plugin raised, or gave what it must not give."""

    code = "plugin_failed"


class AgentFailed(PeerFault):
    """The agent's own code raised; its cell is unharmed."""

    code = "agent_failed"


class CellLost(PeerFault):
    """The cell died, or could not be made."""

    code = "cell_lost"


class DataLost(PeerFault):
    """Nobody who can be reached holds a large payload that was passed by reference."""

    code = "data_lost"


class LimitReached(SwarmError):
    """A bound said no."""

    code = "limit_reached"


class TooLarge(LimitReached):
    """A payload, file or graph above its bound."""

    code = "too_large"


class QueueFull(LimitReached):
    """Too much is waiting already; try again later."""

    code = "queue_full"


class OutOfTime(LimitReached):
    """A deadline passed."""

    code = "out_of_time"


class OverLimit(LimitReached):
    """An agent went over one of its own limits; the message names it."""

    code = "over_limit"


class StoreFull(LimitReached):
    """A node's blob store holds as much as it may."""

    code = "store_full"


_DAMAGE_REMEDY = (
    "restore the data directory from a copy of this very node, or let the node join under a new id; "
    "emptying the directory and keeping the id would forget what the node acknowledged"
)


class LogDamaged(SwarmError):
    """The files of a replica do not hold what was written to them; an operator has to decide."""

    code = "log_damaged"

    def __init__(
        self, message: str, *, place: str = "", remedy: str = _DAMAGE_REMEDY, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, place=place, remedy=remedy, problems=problems)


_UPGRADE_REMEDY = (
    "upgrade this daemon first, to the version that wrote the log or a newer one, and start it again: "
    "its data directory is as it was, and the others go on without it meanwhile"
)


class LogTooNew(SwarmError):
    """A newer version of this program wrote what this one has to read: an operator has to upgrade it."""

    code = "log_too_new"

    def __init__(
        self,
        message: str,
        *,
        place: str = "",
        remedy: str = _UPGRADE_REMEDY,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message, place=place, remedy=remedy, problems=problems)


class Bug(SwarmError):
    """We broke our own rule: never caught, stops the process."""

    code = "bug"


def by_code() -> dict[str, type[SwarmError]]:
    """Every error class by its code, to rebuild one that crossed the wire."""
    found: dict[str, type[SwarmError]] = {}
    todo: list[type[SwarmError]] = [SwarmError]
    while todo:
        kind = todo.pop()
        if "code" in vars(kind):  # a subclass without a code of its own is a detail of one process
            found[kind.code] = kind
        todo.extend(kind.__subclasses__())
    return found
