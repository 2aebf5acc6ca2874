"""Where remembered runs speak of large payloads, and until when."""

from __future__ import annotations

from swarm.graph import Payload, Priority, Ref
from swarm.ids import Digest, RunId
from swarm.scheduler.events import RunSubmitted, StepRecord
from swarm.scheduler.needs import SUBMITTED, Mention, Needs
from swarm.scheduler.run import Run
from swarm.testing.graphs import OUT, wide_graph

X, Y = Digest("ab" * 32), Digest("cd" * 32)


def ref_to(digest: Digest) -> Payload:
    return Ref("bytes", digest, 100_000).payload()


def run_of(name: str, needs: Needs, inputs: list[Digest], *outputs: Digest) -> Run:
    given = {f"x{number}": ref_to(digest) for number, digest in enumerate(inputs)}
    size = max(len(outputs), 1)
    run = Run(RunSubmitted(1, RunId(name), wide_graph(size), given, Priority.MEDIUM, "ann", ""))
    needs.add(run, SUBMITTED, given.values())
    for step, digest in enumerate(outputs):
        values = {OUT: ref_to(digest)}
        run.record(StepRecord(RunId(name), step, 1, 1, "n1", True, values, None, 1, 1.0), 1)  # type: ignore[arg-type]
        needs.add(run, step, values.values())
    return run


def test_a_payload_is_needed_as_long_as_a_run_speaks_of_it():
    needs = Needs()
    first = run_of("r1", needs, [X], Y, Y)
    second = run_of("r2", needs, [], X)
    assert list(needs) == [X, Y]
    needs.forget(first)
    assert list(needs) == [X]
    needs.forget(second)
    assert list(needs) == []


def test_it_is_known_who_spoke_of_it_first():
    needs = Needs()
    first = run_of("r1", needs, [X], Y, X)
    run_of("r2", needs, [], Y)
    assert list(needs.mentions(X)) == [Mention(RunId("r1"), SUBMITTED), Mention(RunId("r1"), 1)]
    assert list(needs.mentions(Y)) == [Mention(RunId("r1"), 0), Mention(RunId("r2"), 0)]
    needs.forget(first)
    assert list(needs.mentions(X)) == []
    assert list(needs.mentions(Y)) == [Mention(RunId("r2"), 0)]


def test_a_run_without_large_payloads_is_not_looked_at_when_it_goes():
    needs = Needs()
    run = run_of("r1", needs, [])
    needs.add(run, 0, [Payload("json", b"1")])
    assert not run.refers
    needs.forget(run)
