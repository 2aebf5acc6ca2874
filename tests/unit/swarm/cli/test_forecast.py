"""A forecast: every step where its agent is, after what it needs, as many at once as there are slots."""

from types import SimpleNamespace

from swarm.cli.forecast import forecast
from swarm.graph import Edge, Endpoint, Graph, Node

DIAMOND = Graph(
    "g",
    tuple(Node(name, f"t:{name}") for name in "abcd"),
    tuple(Edge(Endpoint(one, "y"), Endpoint(two, "x")) for one, two in ("ab", "ac", "bd", "cd")),
)
TOOK = {"t:a": 10.0, "t:b": 30.0, "t:c": 20.0, "t:d": 5.0}


def agent(nodes, *names):
    capabilities = tuple(SimpleNamespace(name=f"t:{name}") for name in names)
    return SimpleNamespace(capabilities=capabilities, nodes=nodes)


def node(name, slots=1):
    return SimpleNamespace(node=name, slots=slots)


def test_branches_run_beside_each_other_where_there_is_room():
    found = forecast(DIAMOND, [agent(("n1", "n2"), *"abcd")], [node("n1"), node("n2")], TOOK)
    assert found.makespan_ms == 45.0
    starts = {each.step: each.start_ms for each in found.steps}
    assert (starts["a"], starts["b"], starts["c"], starts["d"]) == (0.0, 10.0, 10.0, 40.0)


def test_a_single_slot_takes_them_one_by_one_and_two_of_one_node_at_once():
    agents = [agent(("n1",), *"abcd")]
    assert forecast(DIAMOND, agents, [node("n1")], TOOK).makespan_ms == 65.0
    assert forecast(DIAMOND, agents, [node("n1", 2)], TOOK).makespan_ms == 45.0


def test_a_step_runs_where_its_agent_is():
    agents = [agent(("n1",), *"abd"), agent(("n2",), "c")]
    found = forecast(DIAMOND, agents, [node("n1"), node("n2")], TOOK)
    assert {each.step: each.node for each in found.steps}["c"] == "n2"


def test_where_a_step_has_no_place_or_the_graph_a_loop_there_is_none():
    assert forecast(DIAMOND, [agent(("n1",), *"abc")], [node("n1")], TOOK) is None
    assert forecast(DIAMOND, [agent(("n1",), *"abcd")], [], TOOK) is None
    back = Edge(Endpoint("d", "y"), Endpoint("a", "x"))
    loop = Graph("g", DIAMOND.nodes, (*DIAMOND.edges, back))
    assert forecast(loop, [agent(("n1",), *"abcd")], [node("n1")], TOOK) is None
