"""Each command against a fake cluster: what it asks, what it prints, how it exits."""

import json
from pathlib import Path

import numpy as np
import pytest

from sandbox import tensors
from swarm.errors import GraphRefused, NotLeader, Problem
from swarm.graph import Payload
from swarm.wire.convert import error_to_pb, inputs_from_pb, items_to_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2
from tests.unit.swarm.client.fake import news, summary

GRAPH = """\
graph: tiny
inputs: {image: look.image}
nodes: {look: {capability: "vision:digit"}}
outputs: {scores: look.scores}
"""
AGENT = common_pb2.Agent(
    name="digits",
    version="1.0.0",
    kind="wasm",
    digest="ab" * 32,
    capabilities=[
        common_pb2.Capability(
            name="vision:digit",
            inputs=[
                common_pb2.Port(name="image", kind="tensor", dtype="f32", has_shape=True, shape=[-1, 64])
            ],
            outputs=[common_pb2.Port(name="scores", kind="tensor", dtype="f32")],
            effects="none",
        )
    ],
)
AGENTS = pb.ListAgentsReply(agents=[pb.AgentState(agent=AGENT, nodes=["n1", "n2"])])


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "graph.yaml"
    path.write_text(GRAPH)
    return str(path)


def test_status_says_who_leads(serving, swarm):
    with serving(
        n1={"Status": [pb.StatusReply(cluster="demo", node="n1", leader="n2", term=4, voters=["n1"])]}
    ):
        code, out, _ = swarm("status")
        assert code == 0
        assert "n2 leads (term 4)" in out
        code, out, _ = swarm("status", "--json")
        assert (code, out["leader"], out["voters"]) == (0, "n2", ["n1"])


def test_status_speaks_of_large_payloads_where_something_is_wrong_with_them(serving, swarm):
    well = pb.StatusReply(cluster="demo", node="n1", leader="n1")
    short = pb.StatusReply(cluster="demo", node="n1", leader="n1", payloads_short=3, copies_in_flight=2)
    lost = pb.StatusReply(cluster="demo", node="n1", leader="n1", payloads_lost=4)
    with serving(n1={"Status": [well, short, lost, lost]}):
        assert "payloads" not in swarm("status")[1]
        assert "3 short of a copy, 2 being copied" in swarm("status")[1]
        assert "4 on no attached node" in swarm("status")[1]
        code, out, _ = swarm("status", "--json")
        assert (code, out["payloads_lost"], out["payloads_short"], out["copies_in_flight"]) == (0, 4, 0, 0)


def test_status_without_a_leader_is_not_ready(serving, swarm):
    with serving(n1={"Status": [pb.StatusReply(cluster="demo", node="n1")]}):
        assert swarm("status")[0] == 3


def test_nodes_are_listed(serving, swarm):
    node = pb.NodeState(
        node="n1", address="127.0.0.1:1", role="leader", state="attached", slots=64, agents=["digits"]
    )
    with serving(n1={"ListNodes": [pb.ListNodesReply(nodes=[node])]}):
        code, out, _ = swarm("nodes")
        assert (code, "leader" in out, "0/64" in out) == (0, True, True)
        assert swarm("nodes", "--json")[1][0]["agents"] == ["digits"]


@pytest.mark.parametrize("arguments", [("agents",), ("agents", "list")])
def test_agents_are_listed(serving, swarm, arguments):
    with serving(n1={"ListAgents": [AGENTS]}):
        code, out, _ = swarm(*arguments)
        assert (code, "vision:digit" in out) == (0, True)
        assert swarm(*arguments, "--json")[1][0]["nodes"] == ["n1", "n2"]


def test_an_agent_is_shown_with_its_ports(serving, swarm):
    with serving(n1={"ListAgents": [AGENTS], "ListNodes": [pb.ListNodesReply()]}):
        _, out, _ = swarm("agents", "show", "digits")
        assert "takes image: tensor f32['any', 64]" in out
        code, _, err = swarm("agents", "show", "digit")
        assert code == 2
        assert "deployed are: digits" in err


def test_an_agent_is_removed(serving, swarm):
    with serving(n1={"ListAgents": [AGENTS], "RemoveAgent": [pb.RemoveAgentReply(agent=AGENT)]}) as fakes:
        code, out, _ = swarm("agents", "remove", "digits", "--json")
        assert (code, out["removed"]["name"]) == (0, "digits")
        assert fakes["n1"].calls("RemoveAgent")[0].name == "digits"


def test_submit_prints_the_runs_id_and_sends_the_inputs(serving, swarm, graph, tmp_path):
    np.save(tmp_path / "seven.npy", np.ones((1, 64), np.float32))
    with serving(n1={"Submit": [pb.SubmitReply(run="run-7")]}) as fakes:
        image = f"image=@{tmp_path / 'seven.npy'}"
        code, out, _ = swarm("submit", graph, "--input", image, "--priority", "high", "--key", "k")
        assert (code, out.strip()) == (0, "run-7")
        (request,) = fakes["n1"].calls("Submit")
        assert (request.priority, request.key) == (1, "k")
        payload = inputs_from_pb(request.inputs)["image"]
        np.testing.assert_array_equal(tensors.decode(payload.data), np.ones((1, 64)))


def test_submit_and_wait_gives_the_values(serving, swarm, graph):
    outputs = items_to_pb({"scores": Payload("tensor", tensors.encode(np.float32([[0.5, 0.5]])))})
    script = {
        "Submit": [pb.SubmitReply(run="run-7")],
        "Watch": [[news(0, 4, "succeeded")]],
        "ShowRun": [pb.ShowRunReply(run=summary("run-7", "succeeded"), outputs=outputs)],
    }
    with serving(n1=script):
        code, out, err = swarm("submit", graph, "-i", "image:=[1]", "--wait", "--json")
        assert (code, out["outputs"], out["run"]["status"]) == (0, {"scores": [[0.5, 0.5]]}, "succeeded")
        assert "run-7" in err
        assert "scores = [[0.5 0.5]]" in swarm("submit", graph, "-i", "image:=[1]", "--wait")[1]


def test_waiting_for_a_run_that_fails_exits_with_1(serving, swarm, graph):
    script = {
        "Submit": [pb.SubmitReply(run="run-7")],
        "Watch": [[news(0, 1, "failed")]],
        "ShowRun": [pb.ShowRunReply(run=summary("run-7", "failed", reason="it broke"))],
    }
    with serving(n1=script):
        code, out, _ = swarm("submit", graph, "-i", "image:=[1]", "--wait", "--json")
        assert (code, out["error"]["code"], out["error"]["message"]) == (1, "run_failed", "it broke")


def test_a_refused_graph_is_told_with_every_problem(serving, swarm, graph):
    refusal = GraphRefused(
        "cannot run", place="graph tiny", problems=[Problem("x", "node 'look'", "nobody has it", "deploy it")]
    )
    with serving(n1={"Submit": [refusal]}):
        code, _, err = swarm("submit", graph)
        assert code == 2
        assert "error graph_refused at graph tiny: cannot run" in err
        assert "node 'look': nobody has it (deploy it)" in err
        code, out, err = swarm("submit", graph, "--json")
        assert (code, err, out["error"]["problems"][0]["remedy"]) == (2, "", "deploy it")


def test_check_asks_the_cluster_what_it_offers(serving, swarm, graph):
    with serving(n1={"ListAgents": [AGENTS]}):
        code, out, _ = swarm("check", graph, "--json")
        assert (code, out["inputs"], out["checked_against_cluster"]) == (0, ["image"], True)
    with serving(n1={"ListAgents": [pb.ListAgentsReply()]}):
        code, out, _ = swarm("check", graph, "--json")
        assert code == 2
        assert "vision:digit" in json.dumps(out["error"]["problems"])


def test_check_offline_needs_no_cluster(swarm, graph, tmp_path, monkeypatch):
    monkeypatch.delenv("SWARM_CLUSTER", raising=False)
    monkeypatch.chdir(tmp_path)
    assert swarm("check", graph, "--offline")[0] == 0


@pytest.mark.parametrize("arguments", [("runs",), ("runs", "list")])
def test_runs_are_listed(serving, swarm, arguments):
    with serving(n1={"ListRuns": [pb.ListRunsReply(runs=[summary("run-7", steps_ok=3)])]}):
        assert "3/4" in swarm(*arguments)[1]
        assert swarm(*arguments, "--json")[1][0]["id"] == "run-7"


def test_runs_are_listed_by_status(serving, swarm):
    with serving(n1={"ListRuns": [pb.ListRunsReply()]}) as fakes:
        assert swarm("runs", "list", "--status", "failed", "--limit", "3")[0] == 0
        (request,) = fakes["n1"].calls("ListRuns")
        assert (request.status, request.limit) == ("failed", 3)


def test_a_run_is_shown_with_its_steps_and_errors(serving, swarm):
    error = error_to_pb(GraphRefused("bad shape"))
    steps = [
        pb.StepState(
            step="look", capability="vision:digit", status="failed", node="n1", attempt=3, error=error
        )
    ]
    with serving(
        n1={"ShowRun": [pb.ShowRunReply(run=summary("run-7", "failed", reason="look failed"), steps=steps)]}
    ):
        code, out, _ = swarm("runs", "show", "run-7")
        assert code == 0
        assert "graph_refused: bad shape" in out
        assert swarm("runs", "show", "run-7", "--json")[1]["steps"][0]["error"]["code"] == "graph_refused"


def test_logs_are_a_line_for_each_step(serving, swarm):
    with serving(n1={"Watch": [[news(0, 2, "succeeded")]]}):
        code, out, _ = swarm("runs", "logs", "run-7")
        assert (code, out.count("try 1")) == (0, 2)
        assert [step["step"] for step in swarm("runs", "logs", "run-7", "--json")[1]] == ["s0", "s1"]
        assert "run-1 succeeded" in swarm("runs", "logs", "run-7", "--follow")[1]


def test_a_run_is_cancelled_with_a_reason(serving, swarm):
    with serving(n1={"CancelRun": [pb.CancelRunReply(run=summary("run-7", "cancelled"))]}) as fakes:
        code, out, _ = swarm("runs", "cancel", "run-7", "--reason", "enough", "--json")
        assert (code, out["status"]) == (0, "cancelled")
        assert fakes["n1"].calls("CancelRun")[0].reason == "enough"


def test_deploy_fails_when_no_node_hosts_the_agent(serving, swarm, tmp_path):
    split = Path(__file__).parents[4] / "agents" / "split" / "split.af"
    with serving(n1={"Deploy": [pb.DeployReply(agent=AGENT)]}):
        code, out, err = swarm("deploy", str(split), "--json")
        assert (code, out[0]["name"]) == (1, "digits")
        assert "says why" in err
    with serving(n1={"Deploy": [pb.DeployReply(agent=AGENT, nodes=["n1"])]}):
        assert swarm("deploy", str(split))[0] == 0


def test_text_from_elsewhere_cannot_move_the_cursor(serving, swarm):
    run = summary("run-7", "failed", reason="\x1b[2Jgone")
    with serving(n1={"ListRuns": [pb.ListRunsReply(runs=[run])]}):
        assert "\x1b" not in swarm("runs")[1]


def test_no_leader_exits_with_3(serving, swarm, monkeypatch):
    monkeypatch.setattr("swarm.client.door.PATIENCE_S", 0.1)
    monkeypatch.setattr("swarm.client.door.Swarm.open.__func__.__kwdefaults__", {"patience_s": 0.1})
    with serving(n1={"Status": [NotLeader(None)]}):
        code, _, err = swarm("status")
        assert code == 3
        assert "error not_leader" in err


def test_outputs_of_a_run_that_goes_on_are_not_waited_for(serving, swarm):
    with serving(n1={"ShowRun": [pb.ShowRunReply(run=summary("run-7"))]}):
        code, _, err = swarm("runs", "show", "run-7", "--outputs")
        assert code == 2
        assert "not over" in err
