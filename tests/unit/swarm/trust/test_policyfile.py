"""A policy file is refused with every problem at its place, and comes out of the log as it went in."""

import textwrap

import pytest

from swarm.adapters.settings import load_settings
from swarm.errors import ConfigRefused
from swarm.graph import UNBOUNDED, Clearance, Context
from swarm.trust import Role, policyfile
from swarm.trust.identity import client_identity, node_identity
from swarm.trust.policy import OF_AGENTS, OPEN, OPERATOR, Capability, Tenant
from swarm.trust.policyfile import POLICY_BYTES_MAX, PolicyFile, read_policy

EXAMPLE = "\n".join(line[4:] for line in policyfile.__doc__.splitlines() if line.startswith("    "))


def read(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(textwrap.dedent(text))
    return load_settings(path, PolicyFile, "policy file")


def problems(tmp_path, text):
    with pytest.raises(ConfigRefused) as refusal:
        read(tmp_path, text)
    assert refusal.value.problems[0].remedy
    return [
        (problem.place.partition("policy.yaml:")[2], problem.message) for problem in refusal.value.problems
    ]


def test_the_example_says_what_it_looks_like(tmp_path):
    policy = read(tmp_path, EXAMPLE).policy_of()
    assert policy.tenant("acme") == Tenant(2, 100, 64, 268435456, 50.0)
    assert policy.tenant("zeta") == Tenant()
    ann = policy.grant(client_identity("demo", "ann"))
    assert ann.tenant == "acme"
    assert ann.may == {Capability.SUBMIT, Capability.CANCEL, Capability.READ_RESULTS}
    assert ann.clearance.covers(Context(2, "medical", "acme", frozenset({"phi"})))
    assert not ann.clearance.covers(Context(tenant="zeta"))
    assert policy.agent("redact").switches[0].source.domain == "medical"
    assert policy.agent("anything else").may == {Capability.NEURAL_COMPUTE, Capability.MEMORY_ACCESS}
    assert policy.node("n4") == Clearance(0, None, frozenset({"zeta"}), None)
    assert policy.node("n1") is UNBOUNDED


def test_a_policy_survives_the_log(tmp_path):
    found = read(tmp_path, EXAMPLE)
    assert read_policy(found.document()) == found
    assert read_policy(found.document()).policy_of() == found.policy_of()


def test_everything_wrong_is_told_with_its_line(tmp_path):
    assert problems(tmp_path, "policy: 1\ntenant: {}\nprincipals:\n  ann: {may: [FLY]}\n") == [
        ("2: tenant", "there is no such key"),
        ("4: principals.ann.may.0", _choices()),
    ]


def _choices():
    words = [f"'{one}'" for one in Capability]
    return f"Input should be {', '.join(words[:-1])} or {words[-1]}"


def test_what_does_not_fit_together_is_told_with_its_line(tmp_path):
    text = """\
        policy: 1
        contexts:
          shared: {tenant: nobody}
        tenants:
          acme: {}
        principals:
          ann: {tenant: acmé2, may: [SUBMIT]}
          bob: {tenant: zeta, may: [SUBMIT, NETWORK]}
        agents:
          redact: {may: [NEURAL_COMPUTE], switches: [{from: secret, to: shared}]}
          idle: {may: [CONTEXT_SWITCH, SUBMIT]}
        nodes:
          n1: {tenants: [omega]}
        """
    assert {place for place, _ in problems(tmp_path, text)} == {"7: principals.ann.tenant"}
    found = problems(tmp_path, text.replace("acmé2", "acme"))
    assert [place for place, _ in found] == [
        "8: principals.bob.tenant",
        "3: contexts.shared.tenant",
        "13: nodes.n1.tenants",
        "8: principals.bob.may.1",
        "10: agents.redact",
        "10: agents.redact.switches.0.from",
        "11: agents.idle.may.1",
        "11: agents.idle",
    ]


def test_without_a_policy_roles_alone_decide():
    assert OPEN.grant(client_identity("demo", "ann")) == OPERATOR
    assert OPEN.agent("any").may == OF_AGENTS
    assert OPEN.missing("any", {Capability.NETWORK}) == []
    assert OPEN.part("", 100) == 100


def test_whom_a_policy_does_not_name(tmp_path):
    policy = read(tmp_path, EXAMPLE).policy_of()
    assert policy.grant(client_identity("demo", "eve")).may == frozenset()
    assert policy.grant(client_identity("demo", "root", Role.ADMINISTRATOR)) == OPERATOR
    assert policy.grant(node_identity("demo", "n1")) == OPERATOR
    assert policy.grant(node_identity("demo", "n9", Role.WORKER)).may == {Capability.READ_CLUSTER}
    assert policy.missing("idle", {Capability.NETWORK}) == ["NETWORK"]
    assert policy.part("acme", 300) == 150
    assert policy.part("zeta", 300) == 75


def test_too_large_a_policy_is_refused():
    with pytest.raises(ConfigRefused, match="more than"):
        read_policy(" " * (POLICY_BYTES_MAX + 1))
    with pytest.raises(ConfigRefused, match="no policy"):
        read_policy('{"policy": 2}')
