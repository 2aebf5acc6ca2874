"""What a node goes on with by itself."""

from swarm.errors import AgentFailed
from swarm.graph import Payload
from swarm.ids import CapabilityName, Digest, RunId, StepKey
from swarm.node.chains import Chains
from swarm.scheduler.actions import Follower, Wire
from swarm.wire.messages import Assignment, Outcome

AGENT, INC = Digest("d"), CapabilityName("test:inc")
ONE = Payload("json", b"1")


def key(step):
    return StepKey(RunId("run-1"), step, 3, 1)


def follower(step):
    return Follower(key(step), AGENT, INC, {"by": ONE}, (Wire("out", 0, "in", False),), 500, ())


def begun(*steps):
    chains = Chains()
    chains.begin([Assignment(key(0), AGENT, INC, {}, 500, (), followers=tuple(map(follower, steps)))])
    return chains


def ended(step, *, ok=True, port="out"):
    outputs = {port: Payload("json", b"%d" % step)} if ok else {}
    return Outcome(key(step), ok, outputs, None if ok else AgentFailed("no"), False, 0, 0.0)


def test_the_next_step_is_given_what_the_one_before_it_gave_and_knows_whose_it_was():
    chains = begun(1, 2)
    (second,) = chains.go_on([ended(0)])
    assert second.inputs == {"by": ONE, "in": Payload("json", b"0")}
    assert (second.key, second.after, len(second.followers)) == (key(1), (3, 1), 1)
    chains.begin([second])
    (third,) = chains.go_on([ended(1)])
    assert (third.key, third.followers) == (key(2), ())
    chains.begin([third])
    assert not chains.go_on([ended(2)])
    assert not chains


def test_nothing_follows_a_failure_or_a_missing_output():
    assert begun(1).go_on([ended(0, ok=False)]) == []
    assert begun(1).go_on([ended(0, port="another")]) == []


def test_what_an_earlier_leader_promised_is_not_begun_under_another():
    same, another = begun(1), begun(1)
    same.obey(3)
    another.obey(4)
    assert len(same.go_on([ended(0)])) == 1
    assert another.go_on([ended(0)]) == []


def test_a_withdrawn_step_ends_its_chain_before_it():
    chains = begun(1, 2, 3)
    chains.cut([key(2)])
    (second,) = chains.go_on([ended(0)])
    assert second.followers == ()
    whole = begun(1)
    whole.cut([key(0)])
    assert whole.go_on([ended(0)]) == []
