"""A signed run holds as it was recorded; of one that was altered it is told which step does not."""

import pytest
from nacl.signing import SigningKey

from swarm.client.proofs import read_export
from swarm.errors import NotFound, ProtocolBroken
from swarm.graph import Bond, Endpoint, Feed, Graph, Payload, Priority
from swarm.scheduler.events import RunSubmitted, StepRecord, StepsRecorded
from swarm.scheduler.proofs import check_run
from swarm.scheduler.run import Run
from swarm.testing.graphs import ALL, OUT, model_reply, small_graph
from swarm.trust.results import Key, ResultSigner
from swarm.wire.entries import encode_event
from swarm.wire.gen import client_pb2

SIGNER = ResultSigner(SigningKey(b"\1" * 32))
KEYS = [Key("n1", SIGNER.public, 0, 0)]


def signed_run(graph, order, given=None):
    """Steps are recorded in an order, each with the inputs it has at that moment, or with those given."""
    submitted = RunSubmitted(1, "run-1", graph, {"x": Payload("json", b"7")}, Priority.LOW, "a", "", "", True)
    run = Run(submitted)
    for name in order:
        step = next(at for at, node in enumerate(graph.nodes) if node.name == name)
        inputs = (given or {}).get(name) or run.inputs(step, frozenset({ALL}))
        outputs = model_reply(name, inputs, run.scatter(step))
        proof = SIGNER.proof(("run-1", step, "model:a"), inputs, outputs)
        run.record(StepRecord("run-1", step, 1, 1, "n1", True, outputs, None, 5, 1.0, False, proof), 1)
    return run


GRAPH = small_graph("a b c", ("a", "b"), ("a", "c"), ("b", "c", Bond.LOOSE))
GRAPH = Graph(
    "fed", GRAPH.nodes, GRAPH.edges, (Feed("x", Endpoint("a", ALL)),), GRAPH.outlets, GRAPH.on_failure
)


def faults(run):
    return {each.step: each.fault for each in check_run(run, KEYS)}


def test_a_run_holds_as_it_was_recorded():
    assert faults(signed_run(GRAPH, "abc")) == {"a": "", "b": "", "c": ""}
    assert faults(signed_run(GRAPH, "acb")) == {"a": "", "c": "", "b": ""}


def test_a_loose_input_that_came_while_the_step_ran_is_no_fault():
    early = signed_run(GRAPH, "a")
    without_b = early.inputs(2, frozenset({ALL}))
    assert faults(signed_run(GRAPH, "abc", {"c": without_b})) == {"a": "", "b": "", "c": ""}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_altered_result_is_told_with_its_step(step):
    run = signed_run(GRAPH, "abc")
    record = run.records[step]
    run.records[step] = record._replace(outputs={**record.outputs, OUT: Payload("bytes", b"forged")})
    found = faults(run)
    assert "not what its node signed" in found["abc"[step]]
    assert sum("not what its node signed" in why for why in found.values()) == 1


def test_inputs_that_were_altered_and_results_of_another_node_are_told():
    run = signed_run(GRAPH, "abc", {"b": {ALL: (Payload("json", b"others"),)}})
    assert "not made from the inputs" in faults(run)["b"]
    run = signed_run(GRAPH, "abc")
    run.records[1] = run.records[1]._replace(node="n2")
    assert "not its node's" in faults(run)["b"]


def test_a_run_is_checked_as_it_comes_over_the_wire():
    run = signed_run(GRAPH, "abc")
    records = [run.records[step] for step in run.order]
    key = client_pb2.NodeKey(node="n1", key=SIGNER.public)
    first = client_pb2.ExportRunReply(entries=[encode_event(run.submitted)], keys=[key])
    then = client_pb2.ExportRunReply(entries=[encode_event(StepsRecorded(1, tuple(records)))])
    assert [each.fault for each in read_export([first, then])] == ["", "", ""]
    forged = [records[0], records[1]._replace(outputs={OUT: Payload("bytes", b"forged")}), records[2]]
    then = client_pb2.ExportRunReply(entries=[encode_event(StepsRecorded(1, tuple(forged)))])
    assert [bool(each.fault) for each in read_export([first, then])][1]
    for broken in ([], [then], [client_pb2.ExportRunReply(entries=[b"\xff"])]):
        with pytest.raises(ProtocolBroken):
            read_export(broken)


def test_a_run_that_was_not_to_be_signed_says_so():
    plain = RunSubmitted(1, "run-1", small_graph("a"), {}, Priority.LOW, "a", "")
    with pytest.raises(NotFound, match="not to be signed"):
        read_export([client_pb2.ExportRunReply(entries=[encode_event(plain)])])
