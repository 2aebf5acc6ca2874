"""Founding a cluster by command and joining it by token; and every token that must not let anybody in."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time

import pytest
import yaml

import af
from af.signing import new_key, read_key
from swarm import Swarm
from swarm.adapters.audit import AuditReader
from swarm.adapters.join import join
from swarm.adapters.tls import Authority, IdentityFiles
from swarm.cli import run
from swarm.client.session import runnable
from swarm.daemons.founding import keep_membership
from swarm.daemons.keeper import SOURCE, Keeper
from swarm.daemons.layout import free_ports
from swarm.errors import (
    AgentRefused,
    ConfigRefused,
    Conflict,
    Mistake,
    NotAllowed,
    NotTrusted,
    SwarmError,
    Unreachable,
)
from swarm.trust import Role
from swarm.trust.tokens import JoinToken
from swarm.wire.gen import join_pb2 as pb
from tests.integration.cluster import SLOW_AGENT, slow_graph

PASSPHRASE = "correct horse battery staple"


class Founded:
    """A cluster of one coordinator, founded by `swarm init`."""

    def __init__(self, directory):
        self.directory = directory
        self.keeper = Keeper()
        serving, joining = free_ports(2)
        self.address, self.join_address = f"127.0.0.1:{serving}", f"127.0.0.1:{joining}"
        secret = directory / "passphrase"
        secret.write_text(PASSPHRASE + "\n")
        secret.chmod(0o600)
        new_key(directory / "ann.key")
        author = f"ann={directory / 'ann.key.pub'}"
        arguments = [
            "--author",
            author,
            "--name",
            "demo",
            "--node",
            f"n1={self.address}",
            "--join",
            self.join_address,
        ]
        code = run(["init", str(directory / "c"), *arguments, "--passphrase", f"file:{secret}"])
        assert code == 0
        self.home = directory / "c"
        self.profile = self.home / "admin.yaml"
        self.start("n1", self.home / "n1" / "node.yaml")

    def start(self, name, settings):
        self.keeper.spawn(name, settings, self.directory / f"{name}.log")

    def signed(self, data):
        """An agent file with the trusted author's signature."""
        return af.sign(runnable(data), read_key(self.directory / "ann.key"), "2026-01-05T00:00:00Z")

    def log(self, name):
        return (self.directory / f"{name}.log").read_text()

    def soon(self, condition, seconds=30, pause_s=0.1):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(SwarmError):
                if condition():
                    return True
            time.sleep(pause_s)
        return False

    def token(self, role="worker", life_ms=60_000, uses=1):
        with Swarm.open(self.profile) as swarm:
            return JoinToken.read(swarm.create_token(role, life_ms, uses))

    def join(self, token, name, **options):
        return asyncio.run(join(token, options.pop("address", self.join_address), name, **options))


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    cluster = Founded(tmp_path_factory.mktemp("founded"))
    try:
        with Swarm.open(cluster.profile) as swarm:
            assert cluster.soon(lambda: swarm.status().nodes_attached == 1), cluster.log("n1")
        yield cluster
    finally:
        cluster.keeper.close()


def test_the_authoritys_key_is_of_no_use_without_its_passphrase(founded):
    text = (founded.home / "authority" / "authority-key.pem").read_text()
    assert "ENCRYPTED" in text
    for passphrase in (None, b"wrong passphrase"):
        with pytest.raises(ConfigRefused):
            Authority.load(founded.home / "authority", passphrase)
    assert Authority.load(founded.home / "authority", PASSPHRASE.encode()).cluster == "demo"


def test_a_machine_joins_with_one_command_and_works(founded, capsys, tmp_path):
    (port,) = free_ports(1)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with Swarm.open(founded.profile) as swarm:
        text = swarm.create_token("worker", 60_000)
    where = ["--name", "w1", "--listen", f"127.0.0.1:{port}", "--dir", str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "swarm", "join", "-", founded.join_address, *where],
        input=text,
        text=True,
        check=True,
        env=environment,
        timeout=60,
        capture_output=True,
    )
    assert stat.S_IMODE((tmp_path / "identity" / "key.pem").stat().st_mode) == 0o600
    founded.start("w1", tmp_path / "node.yaml")
    with Swarm.open(founded.profile) as swarm:
        assert founded.soon(lambda: swarm.status().nodes_attached == 2), founded.log("w1")
        assert {node.node: node.role for node in swarm.nodes()}["w1"] == "worker"
        swarm.deploy(founded.signed(SLOW_AGENT))
        run = swarm.submit(slow_graph(12, 0.2))
        run.result()
        assert {step.node for step in run.show().steps} == {"n1", "w1"}
    assert founded.keeper.end("w1", signal.SIGTERM) == 0


def test_a_person_joins_and_may_do_what_the_token_says(founded, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SWARM_CLUSTER", str(founded.profile))
    assert run(["token", "create", "--role", "observer", "--ttl", "5m", "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["token"]
    assert run(["join", text, founded.join_address, "--name", "eve", "--dir", str(tmp_path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["identity"] == "spiffe://demo/client/observer/eve"
    with Swarm.open(tmp_path / "eve.yaml") as swarm:
        assert swarm.status().cluster == "demo"
        with pytest.raises(NotAllowed):
            swarm.submit(slow_graph(1, 0))
        with pytest.raises(NotAllowed):
            swarm.create_token("administrator", 1_000)
    assert run(["token", "list", "--json"]) == 0
    listed = {tuple(token["names"]): token for token in json.loads(capsys.readouterr().out)}
    assert listed[("eve",)]["status"] == "it is used up"
    secret = JoinToken.read(text).secret
    left = [path for path in founded.directory.rglob("*") if path.is_file()]
    assert not any(secret in path.read_bytes() or secret.hex().encode() in path.read_bytes() for path in left)
    with_passphrase = [path.name for path in left if PASSPHRASE.encode() in path.read_bytes()]
    assert with_passphrase == ["passphrase"]  # the file it was given in, and nothing the cluster wrote


# -- whose agents may run ----------------------------------------------------------------------------------


def test_an_agent_nobody_or_a_stranger_signed_is_refused_by_the_leader(founded, tmp_path):
    new_key(tmp_path / "eve.key")
    by_a_stranger = af.sign(runnable(SLOW_AGENT), read_key(tmp_path / "eve.key"), "2026-01-05T00:00:00Z")
    with Swarm.open(founded.profile) as swarm:
        for data in (SLOW_AGENT, by_a_stranger):
            with pytest.raises(AgentRefused) as caught:
                swarm.deploy(data)
            assert {problem.code for problem in caught.value.problems} == {"agent_not_trusted"}
        altered = founded.signed(SLOW_AGENT).replace(b"told to fail", b"told to lie!")
        with pytest.raises(AgentRefused):
            swarm.deploy(altered)
        assert "n1" in swarm.deploy(founded.signed(SLOW_AGENT)).nodes


def test_a_node_with_a_policy_of_its_own_does_not_host_what_the_leader_lets_in(founded, tmp_path):
    (port,) = free_ports(1)
    member = founded.join(founded.token(), "picky", addresses=["127.0.0.1"])
    path = keep_membership(tmp_path, member, f"127.0.0.1:{port}", None)
    document = yaml.safe_load(path.read_text())
    assert document["trust"]["authors"]["ann"]["may"] == ["*"]
    document["trust"]["authors"]["ann"]["may"] = ["vision:*"]
    path.write_text(yaml.safe_dump(document))
    founded.start("picky", path)
    with Swarm.open(founded.profile) as swarm:
        assert founded.soon(lambda: "picky" in {node.node for node in swarm.nodes()}), founded.log("picky")
        deployed = swarm.deploy(founded.signed(SLOW_AGENT))
        assert "picky" not in deployed.nodes
        [slow] = [agent for agent in swarm.agents() if agent.name == "slow"]
        assert {node: error.problems[0].code for node, error in slow.refused} == {
            "picky": "agent_not_trusted"
        }
    founded.keeper.end("picky", signal.SIGTERM)


# -- tokens that let nobody in ---------------------------------------------------------------------------


def test_a_used_token_lets_nobody_else_in(founded):
    token = founded.token()
    founded.join(token, "used-once")
    with pytest.raises(NotAllowed, match="used up"):
        founded.join(token, "used-twice")


def test_of_many_who_use_a_token_at_once_as_many_get_in_as_it_has_uses(founded):
    token = founded.token(uses=2)

    async def all_at_once():
        return await asyncio.gather(
            *(join(token, founded.join_address, f"racer-{number}") for number in range(6)),
            return_exceptions=True,
        )

    results = asyncio.run(all_at_once())
    assert sum(not isinstance(result, BaseException) for result in results) == 2
    assert all(isinstance(result, NotAllowed) for result in results if isinstance(result, BaseException))


def test_an_expired_token_lets_nobody_in(founded):
    token = founded.token(life_ms=1)
    with pytest.raises(NotAllowed, match="expired"):
        founded.join(token, "late")


def test_a_revoked_token_lets_nobody_in(founded):
    token = founded.token()
    with Swarm.open(founded.profile) as swarm:
        assert swarm.revoke_token(token.id).status == "it was revoked"
    with pytest.raises(NotAllowed, match="revoked"):
        founded.join(token, "unwanted")


def test_an_altered_token_lets_nobody_in(founded):
    token = founded.token()
    secret = bytes([token.secret[0] ^ 1]) + token.secret[1:]
    with pytest.raises(NotAllowed, match="no such token"):
        founded.join(JoinToken(token.id, secret, token.authority_sha256, token.cluster), "forger")
    with pytest.raises(NotAllowed, match="no such token"):
        founded.join(JoinToken("00" * 8, token.secret, token.authority_sha256, token.cluster), "forger")
    with pytest.raises(NotTrusted, match="not the one this token is for"):
        founded.join(JoinToken(token.id, token.secret, bytes(32), token.cluster), "forger")
    with pytest.raises(NotTrusted, match="a coordinator of other is expected"):
        founded.join(JoinToken(token.id, token.secret, token.authority_sha256, "other"), "forger")
    founded.join(token, "rightful")  # none of that cost a use


def test_a_token_of_another_cluster_is_not_even_shown_there(founded, tmp_path):
    other = Authority.create(tmp_path / "other", "demo")  # of the same name
    token = JoinToken("11" * 8, b"s" * 32, hashlib.sha256(other.certificate_der).digest(), "demo")
    with pytest.raises(NotTrusted, match="not the one this token is for"):
        founded.join(token, "lost")


@pytest.mark.parametrize("name", ["n1", "taken"])
def test_a_name_that_is_taken_is_given_to_nobody_else(founded, name):
    token = founded.token(uses=3)
    if name == "taken":
        founded.join(token, name)
    with pytest.raises(Conflict):
        founded.join(token, name)
    with pytest.raises(Mistake):
        founded.join(token, "Not A Name")
    with pytest.raises(NotTrusted, match="IP address"):
        founded.join(token, "spoofer", addresses=["n1"])


def test_a_listener_that_is_a_worker_is_not_shown_the_secret(founded, tmp_path):
    """It has a certificate of the cluster and can serve TLS, and still is no coordinator."""
    authority = Authority.load(founded.home / "authority", PASSPHRASE.encode())
    worker = authority.issue_node("evil", ["127.0.0.1"], tmp_path / "evil", role=Role.WORKER)
    token, heard = founded.token(), []

    async def scenario():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(worker.certificate, worker.key)

        async def serve(reader, writer):
            heard.append(await reader.read(65_536))
            data = pb.JoinReply(authority=authority.certificate_der).SerializeToString()
            writer.write(len(data).to_bytes(4, "big") + data)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(NotTrusted, match="a coordinator of demo is expected"):
                await join(token, f"127.0.0.1:{port}", "victim")

    asyncio.run(scenario())
    assert not any(token.secret in data for data in heard)


def test_joins_are_in_the_audit_log_with_the_token_but_not_its_secret(founded):
    token = founded.token()
    founded.join(token, "noted")
    reader = AuditReader(founded.home / "n1" / "data" / "audit")
    assert founded.soon(
        lambda: reader.query(lambda facts: facts["did"] == "join" and facts["on"] == "noted", 5)
    )


# -- the listener -----------------------------------------------------------------------------------------


def connected(founded):
    host, _, port = founded.join_address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_who_says_nothing_is_sent_away_and_harms_nobody(founded):
    silent = [connected(founded) for _ in range(8)]
    founded.join(founded.token(), "patient")
    for one in silent:
        one.close()


@pytest.mark.parametrize("message", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x04\xff\xff\xff\xff", b""])
def test_rubbish_ends_its_own_connection_alone(founded, message):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connected(founded) as raw, context.wrap_socket(raw) as secured:
        secured.sendall(message)
        secured.settimeout(20)
        if message:
            assert secured.recv(10) == b""
    founded.soon(
        lambda: founded.join(founded.token(), f"after-{len(message)}-{message[-1:].hex() or 'none'}")
    )


def test_the_join_listener_speaks_tls_1_3_alone(founded):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(founded) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw).close()


def test_a_flood_from_one_address_is_turned_away_and_passes(founded):
    turned_away = 0
    for _ in range(260):
        with connected(founded) as raw:
            raw.settimeout(0.01)
            try:
                turned_away += raw.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                turned_away += 1
    assert turned_away > 10
    assert founded.soon(lambda: founded.join(founded.token(), f"later-{time.monotonic_ns()}"), pause_s=1)


def test_where_nobody_listens_that_is_said(founded):
    (port,) = free_ports(1)
    with pytest.raises(Unreachable):
        founded.join(founded.token(), "nobody", address=f"127.0.0.1:{port}")


def test_a_worker_cannot_let_others_join(founded, tmp_path):
    document = yaml.safe_load((founded.home / "n1" / "node.yaml").read_text())
    files = IdentityFiles.within(founded.home / "n1" / "identity")
    document |= {
        "node": "w9",
        "tls": {"ca": str(files.authority), "certificate": str(files.certificate), "key": str(files.key)},
    }
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(document))
    assert run(["node", "--config", str(path), "--json"]) == 2
