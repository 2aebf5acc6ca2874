"""Two tenants on one cluster, with real certificates: they share it, and know nothing of each other."""

import json

import pytest

from swarm import Edge, Endpoint, Graph, Node, Outlet, Payload, Swarm
from swarm.adapters.audit import AuditReader
from swarm.adapters.tls import Authority
from swarm.cli import run
from swarm.client.profile import ClusterProfile
from swarm.daemons.local import LocalCluster
from swarm.errors import AgentRefused, Conflict, GraphRefused, NotAllowed, NotFound, QueueFull, RunFailed
from swarm.graph import Context
from swarm.trust import Role
from tests.integration.cluster import SLOW_AGENT, slow_graph

POLICY = """\
policy: 1
contexts:
  medical: {level: 2, domain: medical}
  public: {}
tenants:
  acme: {share: 2, runs_active_max: 2}
  zeta: {submissions_per_s: 1000}
principals:
  ann:
    tenant: acme
    may: [SUBMIT, CANCEL, READ_RESULTS, READ_CLUSTER, DEPLOY]
    clearance: {level: 2, domains: [medical]}
  amy: {tenant: acme, may: [SUBMIT, READ_RESULTS]}
  zoe: {tenant: zeta, may: [SUBMIT, CANCEL, READ_RESULTS, READ_CLUSTER, DEPLOY]}
agents:
  greedy: {may: [MEMORY_ACCESS]}
  redact:
    may: [NEURAL_COMPUTE, MEMORY_ACCESS, CONTEXT_SWITCH]
    switches: [{from: medical, to: public}]
  "*": {may: [NEURAL_COMPUTE, MEMORY_ACCESS]}
nodes:
  n3: {level: 0}
"""
ROLES = {"ann": Role.ADMINISTRATOR, "zoe": Role.ADMINISTRATOR, "amy": Role.CLIENT, "eve": Role.CLIENT}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Three daemons under a policy, and a profile for each of the people."""
    home = tmp_path_factory.mktemp("tenants")
    with LocalCluster(home / "cluster", cluster="test") as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(SLOW_AGENT)
        policy = home / "policy.yaml"
        policy.write_text(POLICY)
        assert run(["policy", "apply", str(policy), "--cluster", str(cluster.profile_path)]) == 0
        authority = Authority.load(cluster.data_dir / "authority")
        for name, role in ROLES.items():
            authority.issue_client(name, role, home / name)
        yield cluster, home


@pytest.fixture
def person(shared):
    """Open the cluster as somebody, by all of its nodes or by one."""
    cluster, home = shared
    opened = []

    def call(name, node=None):
        endpoints = dict(ClusterProfile.load(cluster.profile_path).endpoints)
        document = {
            "cluster": "test",
            "endpoints": endpoints if node is None else {node: endpoints[node]},
            "ca": f"{name}/authority.pem",
            "certificate": f"{name}/certificate.pem",
            "key": f"{name}/key.pem",
        }
        path = home / f"{name}-{node}.yaml"
        path.write_text(json.dumps(document))
        swarm = Swarm.open(path)
        opened.append(swarm)
        return swarm

    yield call
    for swarm in opened:
        swarm.close()


def test_a_tenant_sees_and_touches_only_what_is_its_own_whichever_node_it_asks(shared, person):
    cluster, _ = shared
    done = person("ann").submit(slow_graph(1, 0))
    assert done.result() == {"s0": "done"}
    going = person("ann").submit(slow_graph(1, 30))
    for node in cluster.nodes:
        zoe = person("zoe", node)
        mine = zoe.submit(slow_graph(1, 0, "zoe's"))
        assert mine.result() == {"s0": "zoe's"}
        assert {one.tenant for one in zoe.runs()} == {"zeta"}
        for theirs in (done.id, going.id):
            for ask in ("show", "result", "logs", "cancel"):
                with pytest.raises(NotFound):
                    getattr(zoe.attach(theirs), ask)()
            with pytest.raises(NotFound):
                zoe.attach(theirs).explain("s0")
    ann = person("ann")
    assert {one.tenant for one in ann.runs()} == {"acme"}
    assert ann.attach(going.id).cancel().status == "cancelled"
    with Swarm.open(cluster.profile_path) as operator:
        assert {one.tenant for one in operator.runs()} >= {"acme", "zeta"}


def test_people_may_what_the_policy_grants_them_at_every_node(shared, person):
    cluster, _ = shared
    for node in cluster.nodes:
        amy, eve = person("amy", node), person("eve", node)
        made = amy.submit(slow_graph(1, 0))
        assert made.result()
        with pytest.raises(NotAllowed, match="does not grant amy CANCEL"):
            made.cancel()
        with pytest.raises(NotAllowed, match="does not grant amy READ_CLUSTER"):
            amy.nodes()
        with pytest.raises(NotAllowed, match="does not grant eve"):
            eve.submit(slow_graph(1, 0))
        with pytest.raises(NotAllowed, match="does not grant ann ADMINISTER"):
            person("ann", node).apply_policy("{}")


def test_a_quota_of_one_tenant_costs_the_other_nothing(person):
    ann, zoe = person("ann"), person("zoe")
    going = [ann.submit(slow_graph(1, 30)) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 runs are active") as refused:
        ann.submit(slow_graph(1, 0))
    assert refused.value.place == "tenant acme"
    assert zoe.submit(slow_graph(1, 0)).result()
    for one in going:
        one.cancel()
    assert ann.submit(slow_graph(1, 0)).result()


def test_an_agent_of_a_tenant_is_unknown_to_the_other_and_never_given_its_data(person):
    ann, zoe = person("ann"), person("zoe")
    theirs = SLOW_AGENT.replace(b"name: slow", b"name: ours").replace(
        b'return {"value": inputs.get("value")}', b'return {"value": "seen by acme"}'
    )
    ann.deploy(theirs)
    assert {agent.name for agent in ann.agents()} == {"slow", "ours"}
    assert {agent.name for agent in zoe.agents()} == {"slow"}
    assert ann.submit(slow_graph(1, 0)).result() == {"s0": "seen by acme"}
    assert zoe.submit(slow_graph(1, 0)).result() == {"s0": "done"}
    with pytest.raises(NotFound):
        zoe.remove_agent("ours")
    with pytest.raises(Conflict, match="somebody else's"):
        zoe.deploy(SLOW_AGENT.replace(b"name: slow", b"name: ours"))
    with pytest.raises(Conflict, match="somebody else's"):
        ann.deploy(SLOW_AGENT.replace(b"agent_version: 1.0.0", b"agent_version: 1.0.1"))
    ann.remove_agent("ours")


def test_an_agent_may_only_be_what_the_policy_grants_it(person):
    with pytest.raises(AgentRefused) as refused:
        person("ann").deploy(SLOW_AGENT.replace(b"name: slow", b"name: greedy"))
    assert [problem.message for problem in refused.value.problems] == [
        "it needs NEURAL_COMPUTE, which nobody granted it"
    ]


MEDICAL = Context(level=2, domain="medical")


def marked(first, second, capability="test:slow"):
    literals = (("seconds", Payload("json", b"0")), ("value", Payload("json", b'"kept"')))
    nodes = (
        Node("a", capability, literals, context=first),
        Node("b", "test:slow", literals[:1], context=second),
    )
    edges = (Edge(Endpoint("a", "value"), Endpoint("b", "value")),)
    return Graph("marked", nodes, edges, outlets=(Outlet("value", Endpoint("b", "value")),))


def test_data_flows_only_upwards_runs_only_where_it_may_and_is_read_by_who_is_cleared(person):
    ann, amy = person("ann"), person("amy")
    with pytest.raises(GraphRefused) as refused:
        ann.submit(marked(MEDICAL, Context()))
    [problem] = refused.value.problems
    assert (problem.code, problem.place) == ("forbidden_flow", "edge a.value -> b.value")
    made = ann.submit(marked(Context(), MEDICAL))
    assert made.result() == {"value": "kept"}
    steps = {step.step: step for step in made.show().steps}
    assert steps["b"].node in {"n1", "n2"}
    assert any("not cleared" in each.why_not for each in made.explain("b").candidates if each.node == "n3")
    with pytest.raises(NotAllowed, match="not cleared for"):
        amy.attach(made.id).result()
    with pytest.raises(GraphRefused, match="not cleared for its context"):
        amy.submit(marked(Context(), MEDICAL))
    with pytest.raises(GraphRefused, match="it belongs to tenant acme"):
        person("zoe").submit(marked(Context(), Context(tenant="acme")))


def test_what_a_step_says_that_fails_is_told_to_who_is_cleared_for_it_and_its_code_to_the_rest(
    shared, person
):
    cluster, _ = shared
    ann = person("ann")
    ann.deploy(
        SLOW_AGENT.replace(b"name: slow", b"name: leaky")
        .replace(b"- name: test:slow", b"- name: test:leaky")
        .replace(b'return {"value": inputs.get("value")}', b'raise ValueError("diagnosis: gout")')
    )
    node = Node("b", "test:leaky", (("seconds", Payload("json", b"0")),), context=MEDICAL)
    made = ann.submit(Graph("leaks", (node,), (), outlets=(Outlet("value", Endpoint("b", "value")),)))
    with pytest.raises(RunFailed, match="gout"):
        made.result()
    for name in cluster.nodes:
        whole = person("ann", name).attach(made.id)
        assert "gout" in str(whole.show().steps[0].error)
        theirs = person("amy", name).attach(made.id)
        shown = theirs.show()
        told = [shown, theirs.logs(), [run for run in person("amy", name).runs() if run.id == made.id]]
        assert "gout" not in repr(told) + str(shown.steps[0].error)
        assert shown.steps[0].status == "failed"
        assert shown.steps[0].error.code == whole.show().steps[0].error.code == "agent_failed"
        assert shown.run.reason.startswith("step b: agent_failed: ")
        with pytest.raises((RunFailed, NotAllowed)) as failed:
            theirs.result()
        assert "gout" not in str(failed.value)
    lines = [
        facts
        for name in cluster.nodes
        for facts in AuditReader(cluster.node_data(name) / "audit").query(lambda _: True, 100_000)
        if facts["on"] == made.id
    ]
    assert lines
    for facts in lines:
        context = {name: facts["context"].get(name) for name in ("level", "domain", "tenant")}
        assert context == {"level": "2", "domain": "medical", "tenant": "acme"}, facts
    assert b"gout" not in b"".join(
        path.read_bytes()
        for name in cluster.nodes
        for path in (cluster.node_data(name) / "audit").glob("*.jsonl")
    )
    ann.remove_agent("leaky")


def test_an_agent_that_its_author_and_the_policy_let_switch_contexts_gives_data_to_whom_it_may(person):
    ann, amy = person("ann"), person("amy")
    redact = SLOW_AGENT.replace(b"name: slow", b"name: redact").replace(
        b"- name: test:slow", b"- name: test:redact"
    )
    leaky = marked(MEDICAL, Context(), "test:redact")
    ann.deploy(redact)  # its author does not say that it switches contexts
    with pytest.raises(GraphRefused, match="may not flow"):
        amy.submit(leaky)
    ann.deploy(redact.replace(b"  outputs:", b"  switches_context: true\n  outputs:"))
    assert amy.submit(leaky).result() == {"value": "kept"}
    other = redact.replace(b"name: redact", b"name: other").replace(
        b"  outputs:", b"  switches_context: true\n  outputs:"
    )
    with pytest.raises(AgentRefused, match="CONTEXT_SWITCH"):
        ann.deploy(other)
    ann.remove_agent("redact")


def test_the_policy_that_holds_can_be_shown_and_a_bad_one_changes_nothing(shared, tmp_path, capsys):
    cluster, _ = shared
    profile = ["--cluster", str(cluster.profile_path), "--json"]
    assert run(["policy", "show", *profile]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["principal"] == "local"
    assert shown["policy"]["principals"]["zoe"]["tenant"] == "zeta"
    bad = tmp_path / "bad.yaml"
    bad.write_text(POLICY.replace("tenant: zeta", "tenant: zetta"))
    assert run(["policy", "check", str(bad), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert [problem["place"].rpartition("bad.yaml")[2] for problem in found] == [":14: principals.zoe.tenant"]
    assert run(["policy", "apply", str(bad), *profile]) == 2
    capsys.readouterr()
    locked = tmp_path / "locked.yaml"
    locked.write_text(POLICY.replace("  amy:", "  local: {may: [SUBMIT]}\n  amy:"))
    assert run(["policy", "apply", str(locked), *profile]) == 2
    assert "could never apply another" in json.loads(capsys.readouterr().out)["error"]["message"]
