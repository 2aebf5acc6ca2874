"""The event loop's side: feed the state machine in order, answer callers, announce leaders.

Everything arrives in the order the Raft thread decided it, so a snapshot that is asked for between two
batches of entries is the state exactly between them. A state machine that raises has diverged from its
peers or is about to: the replica stops there, with nothing after it applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from swarm.adapters.raft.events import Applied, CaptureWanted, Event, Failed, Led, Reconfigured, Restored
from swarm.adapters.raft.runner import Runner
from swarm.adapters.raft.snapshot import Snapshot
from swarm.errors import Bug, LogTooNew
from swarm.ports import Leadership, StateMachine


class Delivery:
    """Applies what the Raft thread hands over. Runs on the event loop alone."""

    def __init__(
        self,
        machine: StateMachine,
        on_leadership: Callable[[Leadership], None],
        on_voters: Callable[[Reconfigured], None],
        runner: Runner,
    ) -> None:
        self.leadership = Leadership(0, None)
        self.applied_index = 0
        self._machine = machine
        self._on_leadership = on_leadership
        self._on_voters = on_voters
        self._runner = runner
        self._dead = False

    def recover(self, snapshot: Snapshot | None) -> None:
        """Begin from the snapshot of an earlier life."""
        if snapshot is not None:
            self._machine.restore(snapshot.state, snapshot.index)
            self.applied_index = snapshot.index

    def take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Failed):
                _answer_failed(event)
            elif not self._dead:
                try:
                    self._take(event)
                except Exception as error:  # noqa: BLE001 - it is the state machine's, whatever it is
                    self._die(error)

    def _take(self, event: Applied | Restored | CaptureWanted | Led | Reconfigured) -> None:
        match event:
            case Applied():
                self._apply(event)
            case Restored():
                self._machine.restore(event.state, event.index)
                self.applied_index = event.index
            case CaptureWanted():
                assert event.index == self.applied_index, "a snapshot was asked for at another entry"
                self._runner.write_snapshot(event, self._machine.snapshot())
            case Led():
                self.leadership = event.leadership
                self._on_leadership(event.leadership)
            case Reconfigured():
                self._on_voters(event)
            case _:
                assert_never(event)

    def _apply(self, event: Applied) -> None:
        if event.entries:
            self._machine.apply(event.entries)
        self.applied_index = event.through
        self._runner.delivered.entries += event.places
        self._runner.delivered.size_bytes += event.size_bytes
        for proposal, index in event.answers:
            if not proposal.done.done():
                proposal.done.set_result(index)
        if event.places and self._runner.wants_room:
            self._runner.inbox.ring()

    def _die(self, error: Exception) -> None:
        self._dead = True
        if isinstance(error, LogTooNew):
            self._runner.fail(error)  # nothing is wrong with the state machine, and the remedy is its own
            return
        fault = Bug(
            f"the state machine failed after entry {self.applied_index}: {error!r}",
            place="log",
            remedy="it has to accept every committed entry; the replica stops before it diverges",
        )
        fault.__cause__ = error
        self._runner.fail(fault)


def _answer_failed(event: Failed) -> None:
    for proposal in event.proposals:
        if not proposal.done.done():
            proposal.done.set_exception(event.error)
