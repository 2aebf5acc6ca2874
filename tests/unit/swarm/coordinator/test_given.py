"""A node reports for nobody else: neither another node's attempt, nor one nobody was given."""

from swarm.coordinator.given import Given
from swarm.ids import NodeId, RunId, StepKey

N1, N2 = NodeId("n1"), NodeId("n2")
KEY = StepKey(RunId("run-1"), 0, 3, 1)


def given():
    found = Given()
    found.note(KEY, N1)
    return found


def test_an_attempt_belongs_to_the_node_it_was_given_to_and_to_no_other():
    assert given().belongs(KEY, N1, 3)
    assert not given().belongs(KEY, N2, 3)


def test_an_attempt_nobody_was_given_belongs_to_nobody():
    for key in (KEY._replace(attempt=2), KEY._replace(step=1), KEY._replace(run=RunId("run-2"))):
        assert not given().belongs(key, N1, 3)


def test_two_attempts_at_one_step_belong_each_to_its_node():
    found = given()
    found.note(KEY._replace(attempt=2), N2)
    assert found.belongs(KEY, N1, 3)
    assert found.belongs(KEY._replace(attempt=2), N2, 3)
    assert not found.belongs(KEY._replace(attempt=2), N1, 3)


def test_an_attempt_of_an_earlier_leader_is_believed_and_one_of_a_later_is_not():
    assert given().belongs(KEY._replace(term=2), N2, 3)
    assert not given().belongs(KEY._replace(term=4), N1, 3)
    assert not given().belongs(KEY, N1, None)


def test_runs_that_are_over_are_forgotten():
    found = given()
    found.note(KEY._replace(run=RunId("run-2")), N2)
    found.sweep(lambda run: run == "run-1")
    assert found.belongs(KEY, N1, 3)
    assert not found.belongs(KEY._replace(run=RunId("run-2")), N2, 3)
    found.clear()
    assert not found.belongs(KEY, N1, 3)
