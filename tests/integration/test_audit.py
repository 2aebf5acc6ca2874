"""The audit logs of a real cluster: everything done to it is there, holds, and is proved without it."""

import json
import time

import pytest

from swarm import Swarm
from swarm.adapters.audit import AuditReader, read_public_key
from swarm.adapters.tls import Authority, IdentityFiles
from swarm.client.profile import ClusterProfile
from swarm.errors import NotAllowed
from swarm.trust import Role
from tests.integration.cluster import SLOW_AGENT, slow_graph


def events(cluster, **wanted):
    """Events of all nodes with these facts."""
    return [
        facts
        for node in cluster.nodes
        for facts in AuditReader(cluster.node_data(node) / "audit").query(lambda _: True, 100_000)
        if all(str(value) in str(facts.get(name)) for name, value in wanted.items())
    ]


@pytest.fixture
def observer(cluster, tmp_path):
    """A profile whose holder may only look."""
    authority = Authority.load(cluster.data_dir / "authority")
    files = authority.issue_client("eve", Role.OBSERVER, tmp_path / "eve")
    assert files == IdentityFiles.within(tmp_path / "eve")
    profile = ClusterProfile.load(cluster.profile_path)
    document = {
        "cluster": profile.cluster,
        "endpoints": dict(profile.endpoints),
        "ca": "eve/authority.pem",
        "certificate": "eve/certificate.pem",
        "key": "eve/key.pem",
    }
    path = tmp_path / "client.yaml"
    path.write_text(json.dumps(document))
    return path


def soon_flushed(cluster, **wanted):
    """The writer is a moment behind the answer: asked again until the event is there, for a bounded time."""
    for _ in range(500):
        if found := events(cluster, **wanted):
            return found
        time.sleep(0.02)
    return []


def test_what_was_asked_is_in_the_log_with_who_what_and_how_it_ended(cluster, swarm, observer):
    run = swarm.submit(slow_graph(1, 0))
    run.result()
    found = soon_flushed(cluster, did="Swarm/Submit", on=run.id, who="/client/administrator/local")
    assert {facts["result"] for facts in found} == {"ok"}
    assert all(len(facts["payloads"]["graph"]) == 64 for facts in found)
    with Swarm.open(observer) as eve, pytest.raises(NotAllowed):
        eve.submit(slow_graph(1, 0))
    refused = soon_flushed(cluster, did="Swarm/Submit", who="/eve")
    assert refused  # by one node, or by two: an answer that comes while she still speaks is lost to her
    assert {(facts["result"], facts["context"]["role"]) for facts in refused} == {("not_allowed", "observer")}
    assert all(facts["from"].startswith("ipv4:127.0.0.1") for facts in refused)


def test_the_deployed_file_the_daemons_and_their_links_are_in_the_logs(cluster, swarm):
    digest = swarm.deploy(SLOW_AGENT).digest
    assert soon_flushed(cluster, did="Swarm/Deploy", on=digest, result="ok")
    assert {facts["who"] for facts in events(cluster, did="daemon.started")} >= {
        "test/n1",
        "test/n2",
        "test/n3",
    }
    assert events(cluster, did="Work/Attach", result="opened")


def test_a_killed_nodes_log_goes_on_and_all_of_it_holds(cluster, swarm):
    swarm.status()
    cluster.kill("n3")
    cluster.restart("n3")
    cluster.wait_ready()
    for node in cluster.nodes:
        directory = cluster.node_data(node) / "audit"
        verdict = AuditReader(directory).verify(read_public_key(str(directory / "key.pub")))
        assert (verdict.log, verdict.kept_from) == (f"test/{node}", 0)
        assert verdict.events > 0


def test_an_event_is_proved_by_command_to_somebody_with_the_key_alone(cluster, command, swarm, tmp_path):
    run = swarm.submit(slow_graph(1, 0), key="proof-me")
    assert soon_flushed(cluster, on=run.id, did="Submit")
    logs = [cluster.node_data(node) / "audit" for node in cluster.nodes]
    directory = next(log for log in logs if AuditReader(log).query(lambda facts: facts["on"] == run.id, 1))
    code, found = command("audit", "query", str(directory), "--on", run.id, "--did", "Submit")
    assert code == 0
    proof, key = tmp_path / "proof.json", tmp_path / "key.pub"
    key.write_bytes((directory / "key.pub").read_bytes())
    head = tmp_path / "head.json"
    head.write_bytes((directory / "head.json").read_bytes())
    assert command("audit", "prove", str(directory), str(found[-1]["seq"]), "--out", str(proof))[0] == 0
    code, answer = command("audit", "verify", str(proof), "--key", str(key))
    assert (code, answer["holds"]) == (0, True)
    assert json.loads(answer["inclusion"]["entry"])["on"] == run.id
    proof.write_text(proof.read_text().replace(run.id, run.id[:-1] + "!"))
    code, answer = command("audit", "verify", str(proof), "--key", str(key))
    assert (code, answer["error"]["code"]) == (1, "not_trusted")
    code, answer = command("audit", "verify", str(directory), "--key", str(key), "--against", str(head))
    assert (code, answer["holds"]) == (0, True)
    assert command("audit", "prove", str(directory), "--since", str(head), "--out", str(proof))[0] == 0
    assert command("audit", "verify", str(proof), "--key", str(key))[0] == 0
    assert len(command("audit", "tail", str(directory), "-n", "3")[1]) == 3


def test_a_running_node_takes_a_new_audit_key_and_the_first_one_still_checks_everything(
    cluster, command, swarm, tmp_path
):
    directory = cluster.node_data("n2") / "audit"
    first = tmp_path / "first.pub"
    first.write_bytes((directory / "key.pub").read_bytes())
    code, handover = command("audit", "rotate-key", str(directory))
    assert (code, handover["old"]) == (0, first.read_text().strip())
    assert read_public_key(str(directory / "key.pub")) == handover["new"]
    swarm.submit(slow_graph(1, 0)).result()
    proof = tmp_path / "proof.json"
    assert command("audit", "prove", str(directory), "0", "--out", str(proof))[0] == 0
    code, answer = command("audit", "verify", str(proof), "--key", str(first))
    assert (code, answer["head"]["key"], len(answer["keys"])) == (0, handover["new"], 1)
    assert command("audit", "verify", str(directory), "--key", str(first))[0] == 0
    document = json.loads(proof.read_text())
    document["keys"][0]["size"] += 1
    proof.write_text(json.dumps(document))
    code, answer = command("audit", "verify", str(proof), "--key", str(first))
    assert (code, answer["error"]["code"]) == (1, "not_trusted")
