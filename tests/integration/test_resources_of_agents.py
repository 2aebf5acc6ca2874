"""What an agent's file says holds on a real node: way out, layers, bounds, and the steps of its life."""

import json
import time
from pathlib import Path

import pytest

import af
from swarm import Endpoint, Graph, Node, Outlet, Payload, Retry, Swarm
from swarm.adapters.audit import AuditReader
from swarm.cli import run
from swarm.daemons.local import LocalCluster
from swarm.errors import AgentRefused, RunFailed
from tests.security.tlsserver import echo_server, make_certificate

FILE = """\
version: '1.0'
name: {name}
kind: python
agent_version: 1.0.0
capabilities:
- name: test:{name}
  inputs: [{{name: question, kind: json}}]
  outputs: [{{name: answer, kind: json}}]
resources: {resources}
workflows: {workflows}
---BINARY_SECTION:python_module---
{source}
"""
TALKS = """
from sandbox.egress import connection

class Agent:
    def process_input(self, capability, inputs):
        place, size = inputs["question"]
        got = 0
        with connection(place) as stream:
            stream.sendall(bytes(size) + b"!")
            while chunk := stream.recv(65536):
                got += len(chunk)
                if chunk.endswith(b"!"):
                    break
        return {"answer": got}
"""
THINKS = """
class Agent:
    def process_input(self, capability, inputs):
        return {"answer": inputs["question"]}
"""
WRITES = """
class Agent:
    def process_input(self, capability, inputs):
        return {"answer": "x" * inputs["question"]}
"""
MEGABYTE = 1_000_000
AGENTS = Path(__file__).parents[2] / "agents"


LIVES = """
from sandbox.egress import connection

log = []

def warm_up(agent):
    log.append("warm up")

def double(agent, inputs):
    log.append("double")
    return {"question": inputs["question"] * 2}

def sign(agent, outputs):
    return {"answer": [*outputs["answer"], "signed"]}

def say_goodbye(agent):
    with connection("PLACE") as stream:
        stream.sendall(b"goodbye!")
        stream.recv(8)

class Agent:
    def process_input(self, capability, inputs):
        return {"answer": [*log, inputs["question"]]}
"""
LIFE = {
    "initialization": ["load_neural_network", "warm_up"],
    "execution": ["receive_input", "double", "process_neural_network", "sign", "send_output"],
    "shutdown": ["say_goodbye", "cleanup_resources"],
}


def agent(name, resources, source, workflows=None):
    written = FILE.format(
        name=name, resources=json.dumps(resources), source=source, workflows=json.dumps(workflows or {})
    )
    return written.encode()


def ask(swarm, name, question, **options):
    given = (("question", Payload("json", json.dumps(question).encode())),)
    node = Node("ask", f"test:{name}", given, retry=Retry(attempts_max=1), **options)
    asked = swarm.submit(Graph("asks", (node,), outlets=(Outlet("answer", Endpoint("ask", "answer")),)))
    return asked.result()["answer"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    certificate = make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem")
    with echo_server(certificate) as port:
        yield f"localhost:{port}", certificate


@pytest.fixture(scope="module")
def node(tmp_path_factory, server):
    place, certificate = server
    egress = {"allow_private": [place], "roots": str(certificate), "connection_mb_max": 1}
    directory = tmp_path_factory.mktemp("swarm") / "cluster"
    with LocalCluster(directory, nodes=1, cluster="test", settings={"egress": egress}) as cluster:
        yield cluster


@pytest.fixture
def swarm(node):
    with Swarm.open(node.profile_path) as opened:
        yield opened


def needing(layer):
    """The digits agent, on nodes that attest a layer."""
    digits = af.parse((AGENTS / "digits/digits.af").read_bytes())
    resources = digits.header.resources
    requirements = resources.requirements.model_copy(update={"sandbox_layers": (layer,)})
    requirements.model_fields_set.add("sandbox_layers")
    needs = resources.model_copy(update={"requirements": requirements})
    return af.write(digits.with_header(digits.header.model_copy(update={"resources": needs})))


def refused(swarm, name):
    (info,) = (info for info in swarm.agents() if info.name == name)
    return info.refused


def connections(cluster, name):
    """What the audit log says of an agent's connections: how each began or ended, where, with which bytes."""
    reader = AuditReader(cluster.node_data("n1") / "audit")
    events = reader.query(lambda event: event["who"] == f"agent {name}", 1000)
    return sorted((e["seq"], e["did"], e["on"], e["result"], e.get("context", {})) for e in events)


def ended(cluster, name, count=1):
    """The writer is a moment behind: asked again until it is there, for a bounded time."""
    for _ in range(3000):
        found = [event for event in connections(cluster, name) if event[1] == "egress.ended"]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError("nothing was audited")


def test_an_agent_that_declares_a_place_reaches_it_and_the_audit_log_has_every_connection(
    node, swarm, server
):
    place, _ = server
    swarm.deploy(agent("caller", {"limits": {"network_bandwidth_mbps": 1000}, "egress": [place]}, TALKS))
    for size in (9, 99_999):
        assert ask(swarm, "caller", [place, size]) == size + 1
    found = ended(node, "caller", 2)
    opened = [event for event in connections(node, "caller") if event[1] == "egress.opening"]
    assert [(event[2], event[3]) for event in opened] == [(place, "ok")] * 2
    assert [(on, result) for _, _, on, result, _ in found] == [(place, "closed")] * 2
    assert [facts["bytes_out"] for *_, facts in found] == ["10", "100000"]
    assert [facts["bytes_in"] for *_, facts in found] == ["10", "100000"]


def test_more_bytes_than_the_operator_allows_end_the_step_with_an_error_that_names_the_limit(
    node, swarm, server
):
    place, _ = server
    swarm.deploy(agent("greedy", {"limits": {"network_bandwidth_mbps": 1000}, "egress": [place]}, TALKS))
    with pytest.raises(RunFailed, match=r"connection_bytes is 1\.04858e\+06, asked: \d+"):
        ask(swarm, "greedy", [place, MEGABYTE])
    (last,) = ended(node, "greedy")
    assert last[3] == "bytes"
    assert ask(swarm, "greedy", [place, 9]) == 10  # the cell was replaced


def test_an_agent_that_declares_nothing_has_no_way_out(node, swarm, server):
    place, _ = server
    swarm.deploy(agent("mute", {}, TALKS))
    with pytest.raises(RunFailed, match="this agent declares no egress"):
        ask(swarm, "mute", [place, 9])
    assert connections(node, "mute") == []


def test_a_place_the_operator_did_not_allow_keeps_the_agent_off_the_node(node, swarm):
    wish = {"limits": {"network_bandwidth_mbps": 1}, "egress": ["example.org:443"]}
    swarm.deploy(agent("tourist", wish, TALKS))
    ((refusing, error),) = refused(swarm, "tourist")
    assert refusing == "n1"
    assert "asks for a connection to example.org:443" in str(error)


def test_the_bounds_of_the_file_are_the_bounds_of_the_cell(swarm):
    swarm.deploy(agent("writer", {"limits": {"output_mb": 1, "wall_ms": 5000, "threads": 8}}, WRITES))
    assert ask(swarm, "writer", 1000) == "x" * 1000
    with pytest.raises(RunFailed, match=r"output_bytes is 1\.04858e"):
        ask(swarm, "writer", 2 * MEGABYTE)


def test_a_node_says_which_layers_it_has_and_which_it_lacks_and_why(swarm):
    (info,) = swarm.nodes()
    assert "syscalls" in info.layers
    for lack in info.lacks:
        assert lack.layer not in info.layers
        assert lack.reason
        assert lack.remedy


def test_a_layer_that_was_not_attested_keeps_an_agent_off_the_node_and_the_refusal_names_it(tmp_path):
    needy = needing("syscalls")
    settings = {"sandbox": {"tier": "wasm-only"}}
    with (
        LocalCluster(tmp_path / "cluster", nodes=1, cluster="test", settings=settings) as cluster,
        Swarm.open(cluster.profile_path) as swarm,
    ):
        (info,) = swarm.nodes()
        assert info.layers == ("wasm",)
        assert "syscalls" in [lack.layer for lack in info.lacks]
        assert swarm.deploy(needing("wasm")).layers == ("wasm",)
        assert refused(swarm, "digits") == ()
        assert swarm.deploy(needy).layers == ("syscalls",)
        ((node, error),) = refused(swarm, "digits")
        assert (node, error.place) == ("n1", "syscalls")
        assert "digits requires this layer" in error.message


def test_a_layer_nobody_knows_is_refused_with_the_one_that_was_probably_meant(swarm):
    with pytest.raises(AgentRefused, match=r"there is no layer sycalls.*\n?.*did you mean 'syscalls'"):
        swarm.deploy(needing("sycalls"))


def test_the_hooks_of_an_agent_run_when_its_cell_begins_in_its_calls_and_when_it_ends(node, swarm, server):
    place, _ = server
    resources = {"limits": {"network_bandwidth_mbps": 1}, "egress": [place]}
    swarm.deploy(agent("living", resources, LIVES.replace("PLACE", place), LIFE))
    assert ask(swarm, "living", 21) == ["warm up", "double", 42, "signed"]
    assert connections(node, "living") == []
    swarm.remove_agent("living")
    # The cell that was in use says goodbye, and so does the spare one: both had begun.
    for *_, facts in ended(node, "living", 2):
        assert (facts["bytes_out"], facts["bytes_in"]) == ("8", "8")


def test_a_hook_that_fails_in_the_beginning_keeps_the_agent_off_the_node(swarm):
    source = THINKS + "\ndef warm_up(agent):\n    raise ValueError('too cold')\n"
    swarm.deploy(agent("cold", {}, source, {"initialization": LIFE["initialization"]}))
    ((_, error),) = refused(swarm, "cold")
    assert "too cold" in str(error)


def test_a_step_nobody_knows_is_refused_with_the_one_that_was_probably_meant(swarm):
    wrong = {"initialization": ["load_neural_network", "warmup"]}
    source = THINKS + "\ndef warm_up(agent):\n    pass\n"
    with pytest.raises(AgentRefused, match=r"the step 'warmup' is unknown.*\n?.*did you mean 'warm_up'"):
        swarm.deploy(agent("wrong", {}, source, wrong))


def test_what_an_agent_took_is_told_of_each_node_and_outlives_its_cells(node, swarm, capsys):
    swarm.deploy(agent("busy", {}, WRITES))
    assert len(ask(swarm, "busy", MEGABYTE)) == MEGABYTE

    def used():
        (info,) = swarm.nodes()
        return next((usage for usage in info.usage if usage.agent == "busy"), None)

    for _ in range(3000):
        if (usage := used()) is not None and usage.bytes_in > MEGABYTE:
            break
        time.sleep(0.02)
    assert usage.cells == 1
    assert usage.cpu_ms is not None  # in steps of the clock, so that it may be none at all
    assert usage.memory_peak_bytes > MEGABYTE
    assert MEGABYTE < usage.bytes_in < 2 * MEGABYTE
    assert 0 < usage.bytes_out < MEGABYTE
    assert run(["agents", "show", "busy", "--cluster", str(node.profile_path)]) == 0
    assert "on n1: 1 cells, " in capsys.readouterr().out
