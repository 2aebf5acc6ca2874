"""What an agent is told of an attempt, and what its word on one is taken for."""

import json

import pytest

from swarm.errors import AgentFailed, NeedsDecision, NotDone
from swarm.graph import Payload, Signature
from swarm.ids import CapabilityName, Digest, RunId, StepKey
from swarm.node.reconciling import Reconciling, answered
from swarm.wire.messages import Assignment

PAY, LOOK = CapabilityName("bank:pay"), CapabilityName("bank:look")
AMOUNT = Payload("json", b"7")
RECONCILING = Reconciling([Signature(PAY, effects="once", reconcile=LOOK), Signature(LOOK)])


def item(about=None, capability=PAY):
    key = StepKey(RunId("run-1"), 3, 5, 2)
    return Assignment(key, Digest("d"), capability, {"amount": AMOUNT}, 500, (), about=about)


def intent(given):
    return json.loads(given["intent"].data)


def test_an_attempt_knows_its_own_identity_and_a_question_that_of_the_attempt_it_is_about():
    own = RECONCILING.inputs(item())
    assert intent(own) == {"run": "run-1", "step": 3, "term": 5, "attempt": 2}
    assert own["amount"] == AMOUNT
    about = RECONCILING.inputs(item(about=(4, 1)))
    assert intent(about) == {"run": "run-1", "step": 3, "term": 4, "attempt": 1}


def test_only_a_question_is_asked_of_the_other_capability():
    assert RECONCILING.capability(item()) == PAY
    assert RECONCILING.capability(item(about=(4, 1))) == LOOK


def test_what_cannot_be_reconciled_is_given_what_it_was_sent_and_refuses_questions():
    plain = item(capability=LOOK)
    assert RECONCILING.inputs(plain) == plain.inputs
    with pytest.raises(AgentFailed, match="cannot tell"):
        RECONCILING.capability(item(about=(4, 1), capability=LOOK))


def test_done_gives_the_result_without_the_word():
    said = {"outcome": Payload("json", b'"done"'), "paid": AMOUNT}
    assert answered(item((4, 1)), said) == {"paid": AMOUNT}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Payload("json", b'"not_done"'), NotDone),
        (Payload("json", b'"unknown"'), NeedsDecision),
        (Payload("json", b'"perhaps"'), AgentFailed),
        (Payload("json", b'"not_d'), AgentFailed),
        (Payload("json", b'"done"' + b" " * 100), AgentFailed),
        (Payload("bytes", b'"done"'), AgentFailed),
        ((Payload("json", b'"done"'),), AgentFailed),
        (None, AgentFailed),
    ],
)
def test_anything_else_is_no_result(said, error):
    reply = {"paid": AMOUNT} if said is None else {"paid": AMOUNT, "outcome": said}
    found = answered(item((4, 1)), reply)
    assert isinstance(found, error)
    assert type(found) is error
