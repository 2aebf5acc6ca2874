"""Payloads that nobody has any more: which steps are run again for them, in which order, and how often."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from swarm import limits
from swarm.errors import AgentFailed, DataLost, SwarmError
from swarm.graph import Endpoint, Feed, Graph, NodeName, Payload, PortName, Priority, Ref
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.scheduler.actions import Dispatch, Intend, Record, Withdraw
from swarm.scheduler.desk import CLAIMED_ATTEMPT_MAX
from swarm.scheduler.events import (
    AgentDeployed,
    AttemptFailed,
    BlobsHeld,
    Elected,
    MadeAgain,
    NodeJoined,
    NodeLost,
    RunCancelled,
    RunSubmitted,
    StepRecord,
    StepsIntended,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import Place, Scheduler
from swarm.scheduler.remaking import LOOK_MS, REST_MS
from swarm.testing.graphs import ALL, CAPABILITIES, OUT, chain_graph, model_agent, small_graph

PURE = model_agent(CAPABILITIES[0])
ONCE = model_agent(CAPABILITIES[1])
ONCE = replace(ONCE, capabilities=tuple(replace(one, effects="once") for one in ONCE.capabilities))
RUN = RunId("run-1")


def name_of(text: str) -> Digest:
    return Digest(sha256(text.encode()).hexdigest())


def ref_to(text: str, *nodes: str) -> Payload:
    return Ref("bytes", name_of(text), 100_000, nodes=tuple(map(NodeId, nodes))).payload()


class Desk:
    """A scheduler that leads, one run, and what it has asked for: `ordered` and `recorded`."""

    def __init__(self, graph: Graph, inputs: dict[str, Payload] | None = None, slots: int = 4) -> None:
        self.scheduler = Scheduler()
        self.now_ms = 1_000
        self.ordered: list[Dispatch] = []
        self.recorded: list[StepRecord] = []
        self.withdrawn: list[StepKey] = []
        self.slots = slots
        for agent in (PURE, ONCE):
            self.tell(AgentDeployed(1, agent, "ann"))
        self.tell(Elected(self.now_ms, 1))
        self.tell(RunSubmitted(1, RUN, graph, inputs or {}, Priority.MEDIUM, "ann", ""))
        self.now_ms += limits.TAKEOVER_GRACE_MS

    def tell(self, event: object) -> None:
        for action in self.scheduler.apply(event):  # type: ignore[arg-type]
            match action:
                case Dispatch():
                    self.ordered.append(action)
                case Record():
                    self.recorded.append(action.record)
                case Withdraw():
                    self.withdrawn.append(action.key)
                case Intend():
                    self.tell(StepsIntended(1, (action.intent,)))

    def join(self, *nodes: str) -> None:
        for node in nodes:
            agents = frozenset((PURE.digest, ONCE.digest))
            self.tell(NodeJoined(self.now_ms, NodeId(node), self.slots, agents, frozenset(), ()))

    def record(self, *steps: int, node: str = "n1") -> None:
        """These steps gave the payloads `x0`, `x1`, ... which lie on n1 and n2."""
        for step in steps:
            outputs = {OUT: ref_to(f"x{step}", "n1", "n2")}
            done = StepRecord(RUN, step, 1, 1, NodeId(node), True, outputs, None, 1, 1.0)
            self.tell(StepsRecorded(1, (done,)))

    def holds(self, node: str, *texts: str, gone: tuple[str, ...] = ()) -> None:
        kept = tuple(map(name_of, texts))
        self.tell(BlobsHeld(self.now_ms, NodeId(node), kept, (), tuple(map(name_of, gone))))

    def wait(self, duration_ms: int = LOOK_MS) -> None:
        self.now_ms += duration_ms
        self.tell(Tick(self.now_ms))

    def lacks(self, order: Dispatch) -> None:
        """The attempt could not be given its inputs."""
        error = DataLost("nobody who can be reached holds it")
        self.tell(AttemptFailed(self.now_ms, order.node, order.key, error, True, 1, 1.0))

    def made(
        self, order: Dispatch, *texts: str, error: SwarmError | None = None, final: bool = False
    ) -> None:
        digests = frozenset(map(name_of, texts))
        self.tell(MadeAgain(self.now_ms, order.node, order.key, digests, error, not final))

    def next(self) -> Dispatch:
        """The one order that was not seen yet."""
        (order,) = self.ordered
        self.ordered.clear()
        return order

    def place(self, step: int) -> Place:
        found = self.scheduler.place(RUN, step)
        assert found is not None
        return found[0]


def broken(graph: Graph | None = None, recorded: int = 2, **options: object) -> tuple[Desk, Dispatch]:
    """A chain whose payloads so far nobody has any more, and the attempt that misses the last of them."""
    desk = Desk(graph or chain_graph(4), **options)  # type: ignore[arg-type]
    desk.record(*range(recorded))
    desk.join("n3", "n4")
    waits = desk.next()
    assert waits.key.step == recorded
    return desk, waits


def test_a_step_whose_input_is_lost_waits_until_it_was_made_again_and_that_is_no_failure():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    assert (again.key.step, again.key.attempt) == (1, CLAIMED_ATTEMPT_MAX + 1)
    assert again.inputs[ALL] == (ref_to("x0", "n1", "n2"),)
    assert desk.scheduler.makes_again(again.key)
    assert not desk.scheduler.accepts(again.key)
    for _ in range(5):
        desk.wait(REST_MS)
        assert desk.place(2) is Place.RESTING
    desk.made(again, "x1")
    desk.wait(REST_MS)
    assert desk.place(2) is Place.RESTING  # nobody has said yet that he has it
    desk.holds(again.node, "x1")
    desk.wait(REST_MS)
    assert (desk.next().key.step, desk.place(2)) == (2, Place.FLYING)
    assert not desk.recorded
    assert desk.scheduler.ledger.runs[RUN].order == [0, 1]


def test_what_it_takes_to_make_it_again_is_made_again_before():
    desk, waits = broken(recorded=3)
    desk.lacks(waits)
    for step in range(3):
        desk.wait()
        again = desk.next()
        assert again.key.step == step
        desk.made(again, f"x{step}")
        desk.holds(again.node, f"x{step}")
    desk.wait(REST_MS)
    assert desk.next().key.step == 3


def test_what_somebody_holds_is_not_made_again_and_its_absence_counts_as_a_failure():
    desk, waits = broken()
    desk.holds("n3", "x1")
    desk.lacks(waits)
    desk.wait()
    assert desk.ordered == [] or desk.next().key.step == 2
    assert desk.scheduler.copies().lost == 0


def test_a_holder_that_comes_back_saves_the_trouble():
    desk, waits = broken(slots=1)
    desk.tell(RunSubmitted(1, RunId("run-2"), small_graph("a b"), {}, Priority.MEDIUM, "ann", "k"))
    desk.ordered.clear()  # both slots are taken
    desk.lacks(waits)
    desk.ordered.clear()
    desk.holds("n3", "x1")
    desk.wait(REST_MS)
    assert all(order.key.attempt <= CLAIMED_ATTEMPT_MAX for order in desk.ordered)


def test_what_is_run_again_goes_before_what_waits_for_room():
    desk, waits = broken(slots=1)
    desk.tell(RunSubmitted(1, RunId("run-2"), small_graph("a b c"), {}, Priority.HIGH, "ann", "k"))
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    assert {order.key.run for order in desk.ordered} == {"run-2"}  # both nodes are busy
    taken = desk.ordered.pop()
    desk.ordered.clear()
    desk.tell(AttemptFailed(desk.now_ms, taken.node, taken.key, AgentFailed("no"), True, 1, 1.0))
    assert desk.next().key[:2] == (RUN, 1)


def test_something_else_is_not_taken_for_it_and_the_error_says_what_was_lost_and_by_whom():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    desk.made(desk.next(), "y1")
    desk.wait(REST_MS)
    (record,) = desk.recorded
    assert (record.step, record.ok) == (2, False)
    assert isinstance(record.error, DataLost)
    for part in (name_of("x1"), "step s1", "n1, n2", "something else"):
        assert part in record.error.message


def test_an_attempt_that_fails_is_followed_by_so_many_others_and_no_more():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    for _ in range(limits.REMAKE_TRIES_MAX):
        desk.wait()
        desk.made(desk.next(), error=AgentFailed("bad luck"))
    desk.wait(REST_MS)
    assert desk.ordered == []
    assert "bad luck" in str(desk.recorded[0].error)


def test_an_attempt_that_will_always_fail_is_the_last():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    desk.made(desk.next(), error=AgentFailed("bad input"), final=True)
    desk.wait(REST_MS)
    assert desk.ordered == []
    assert "bad input" in str(desk.recorded[0].error)


def test_a_node_that_is_lost_in_the_middle_is_followed_by_another():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    desk.tell(NodeLost(desk.now_ms, again.node))
    desk.join("n5")
    desk.holds("n5", "x0")
    desk.wait()
    after = desk.next()
    assert (after.key.step, after.key.attempt) == (1, again.key.attempt + 1)
    desk.made(again, "y1")  # too late, and nobody's business
    assert desk.scheduler.makes_again(after.key)


def test_an_attempt_that_takes_too_long_is_withdrawn_and_tried_again():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    desk.wait(limits.STEP_TIMEOUT_MS_DEFAULT + 1)
    assert again.key in desk.withdrawn
    desk.wait()
    assert desk.next().key.attempt == again.key.attempt + 1


def test_what_nobody_has_although_it_was_made_is_made_again():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    desk.made(again, "x1")
    desk.wait(limits.REMAKE_SETTLE_MS + 1)
    desk.wait()
    assert desk.next().key.attempt == again.key.attempt + 1


def test_what_is_lost_anew_each_time_is_made_so_often_and_no_more():
    desk, waits = broken()
    desk.holds("n4", "x0")
    for _ in range(limits.REMAKE_TRIES_MAX):
        desk.lacks(waits)
        desk.wait()
        again = desk.next()
        desk.made(again, "x1")
        desk.holds(again.node, "x1")
        desk.wait(REST_MS)
        waits = desk.next()
        desk.holds(again.node, gone=("x1",))
    desk.lacks(waits)
    assert "lost anew" in str(desk.recorded[0].error)


def test_what_was_submitted_is_not_made_again():
    graph = replace(small_graph("a"), feeds=(Feed("x", Endpoint(NodeName("a"), PortName(ALL))),))
    desk = Desk(graph, {"x": ref_to("x", "n1", "n2")})
    desk.join("n3")
    desk.lacks(desk.next())
    (record,) = desk.recorded
    assert isinstance(record.error, DataLost)
    for part in (name_of("x"), "n1, n2", "submitted with the run"):
        assert part in record.error.message


def test_what_a_step_gave_that_must_not_run_twice_is_not_made_again():
    graph = chain_graph(4)
    first, second, *others = graph.nodes
    graph = replace(graph, nodes=(first, replace(second, capability=CAPABILITIES[1]), *others))
    desk, waits = broken(graph)
    desk.holds("n4", "x0")
    desk.lacks(waits)
    assert desk.ordered == []
    for part in (name_of("x1"), "step s1", "must not run twice"):
        assert part in str(desk.recorded[0].error)


def test_what_needs_something_that_cannot_be_made_again_is_not_made_again_either():
    graph = chain_graph(4)
    first, *others = graph.nodes
    graph = replace(graph, nodes=(replace(first, capability=CAPABILITIES[1]), *others))
    desk, waits = broken(graph)
    desk.lacks(waits)
    assert desk.ordered == []
    for part in (name_of("x0"), "step s0", "must not run twice"):
        assert part in str(desk.recorded[0].error)


def test_a_step_that_must_not_run_twice_waits_as_others_do_for_it_had_not_begun():
    graph = chain_graph(3)
    first, second, third = graph.nodes
    graph = replace(graph, nodes=(first, replace(second, capability=CAPABILITIES[1]), third))
    desk, waits = broken(graph, recorded=1)
    assert waits.capability == CAPABILITIES[1]
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    assert again.key.step == 0
    desk.made(again, "x0")
    desk.holds(again.node, "x0")
    desk.wait(REST_MS)
    after = desk.next()
    assert (after.key.step, after.key.attempt) == (1, waits.key.attempt + 1)
    assert desk.scheduler.ledger.runs[RUN].intents[1].attempt == after.key.attempt
    assert not desk.recorded


def test_a_run_that_is_over_has_nothing_made_again():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    again = desk.next()
    desk.tell(RunCancelled(1, RUN, "enough", "ann"))
    assert again.key in desk.withdrawn
    assert not desk.scheduler.makes_again(again.key)
    assert all(not view.busy for view in desk.scheduler.nodes())


def test_no_more_are_run_again_than_a_bound_says(monkeypatch):
    monkeypatch.setattr(limits, "REMAKES_MAX", 2)
    desk, waits = broken(recorded=3)
    desk.lacks(waits)
    assert desk.ordered == []
    assert "more than 2 others" in str(desk.recorded[0].error)


def test_who_asks_is_told_what_a_step_waits_for():
    desk, waits = broken()
    desk.holds("n4", "x0")
    desk.lacks(waits)
    desk.wait()
    for step, said in ((2, "it waits for s1"), (1, "it is run again")):
        explanation = desk.scheduler.explain(RUN, step)
        assert explanation is not None
        assert said in explanation.note
