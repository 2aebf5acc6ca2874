"""Everything the outside can get wrong, told to a real cluster: each is refused by name, place and remedy.

After every test each daemon is the process it was before, and still answers and works.
"""

import asyncio
import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest

from swarm import Edge, Endpoint, Graph, Node, Swarm, limits
from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import Authority, IdentityFiles, TlsIdentity, Validity
from swarm.adapters.tls.diagnose import Proof
from swarm.client import ClusterProfile
from swarm.client.session import runnable
from swarm.demo.material import agent_file
from swarm.errors import (
    AgentRefused,
    ConfigRefused,
    GraphRefused,
    NotAllowed,
    NotTrusted,
    ProtocolBroken,
    SwarmError,
    TooLarge,
    Unreachable,
)
from swarm.graph import encode
from swarm.trust import Role
from swarm.trust.identity import client_identity
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc
from tests.integration.cluster import digit_graph, slow_graph

GIB = 1 << 30
GROWTH_BYTES_MAX = 256 * limits.MIB  # of a daemon that is offered a gigabyte
CALL_S = 30
TRIES_MAX = 50
CONFORMANCE = Path(__file__).parents[1] / "conformance" / "af" / "invalid"


@pytest.fixture(autouse=True)
def unharmed(cluster, swarm):
    """Whatever a test does: afterwards the same three processes are there, and work."""
    before = {node: cluster.pid(node) for node in cluster.nodes}
    yield
    assert {node: cluster.pid(node) for node in cluster.running()} == before
    assert {node.state for node in swarm.nodes()} == {"attached"}
    assert swarm.run(slow_graph(1, 0)) == {"s0": "done"}


def explained(error, kind):
    """It is the typed error it should be, and says where and what to do, of itself or of each problem."""
    assert isinstance(error, kind)
    assert all(problem.place and problem.remedy for problem in error.problems)
    assert error.problems or (error.place and error.remedy), str(error)
    return str(error)


def call_unchecked(cluster, files, call, *, authority=None):
    """What a daemon answers to a caller that did not check anything first."""
    pem = (authority or files.authority).read_bytes()
    proof = Proof(
        client_identity("test", "mallory"), files.certificate.read_bytes(), files.key.read_bytes(), pem
    )

    async def scenario():
        async with TlsIdentity(proof).channel(cluster.addresses["n1"], "n1") as channel:
            return await call(rpc.SwarmStub(channel))

    for _ in range(TRIES_MAX):
        try:
            return asyncio.run(scenario())
        except grpc.aio.AioRpcError as error:
            # An answer that arrives while grpc is still sending is lost in grpc; the next try may hear it.
            if error.details() != "Internal error from Core":
                return from_rpc(error, "n1")
    raise AssertionError("grpc lost every answer")


def caller(cluster):
    return IdentityFiles.within(cluster.data_dir / "client")


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def status(stub):
    return await stub.Status(pb.StatusRequest(), timeout=CALL_S)


def submitting(request):
    """A Submit call of a request as it is."""
    return lambda stub: stub.Submit(request, timeout=CALL_S)


def deploying(data, *, size=None, sha256="0" * 64):
    """A Deploy call that streams `data`, announcing what the test wants it to announce."""

    async def upload():
        yield pb.DeployRequest(start=pb.DeployStart(size_bytes=size or len(data), sha256=sha256))
        for start in range(0, len(data), limits.CHUNK_BYTES):
            yield pb.DeployRequest(chunk=data[start : start + limits.CHUNK_BYTES])

    return lambda stub: stub.Deploy(upload(), timeout=CALL_S)


# -- agent files --------------------------------------------------------------------------------------

BAD_AGENTS = [
    "truncated_section",
    "flipped_bit",
    "wrong_weight_shape",
    "nan_weight",
    "not_yaml",
    "unknown_keys",
    "alias_bomb",
    "lz4_bomb",
    "python_syntax",
]


@pytest.mark.parametrize("name", BAD_AGENTS)
def test_a_bad_agent_file_is_refused_by_the_client(swarm, name):
    with pytest.raises(AgentRefused) as caught:
        swarm.deploy(CONFORMANCE / f"{name}.af")
    assert f"{name}.af" in explained(caught.value, AgentRefused)


@pytest.mark.parametrize("name", BAD_AGENTS)
def test_a_bad_agent_file_is_refused_by_the_daemon_too(cluster, swarm, name):
    data = (CONFORMANCE / f"{name}.af").read_bytes()
    before = swarm.agents()
    error = call_unchecked(cluster, caller(cluster), deploying(data, sha256=digest(data)))
    explained(error, AgentRefused)
    assert swarm.agents() == before


@pytest.mark.parametrize("where", [0.3, 0.6, 0.99])
def test_a_flipped_bit_in_a_compiled_agent_is_refused_by_the_daemon(cluster, where):
    data = bytearray(runnable(agent_file("digits")))
    data[int(len(data) * where)] ^= 1
    text = explained(
        call_unchecked(cluster, caller(cluster), deploying(bytes(data), sha256=digest(data))), AgentRefused
    )
    assert "section" in text


def test_an_upload_that_is_not_what_it_announced_is_refused(cluster):
    data = runnable(agent_file("split"))
    explained(call_unchecked(cluster, caller(cluster), deploying(data)), ProtocolBroken)
    explained(call_unchecked(cluster, caller(cluster), deploying(data, size=len(data) + 1)), ProtocolBroken)


# -- graphs and inputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("graph: [", "line 2, column 1"),
        ("graph: g\nnodes:\n\ta: 1\n", "line 3"),
        ("graph: g\nnodes: {a: {capabilty: 'vision:digit'}}\n", "capabilty"),
        ("graph: g\nnods: {}\n", "nods"),
    ],
    ids=["malformed", "tab", "unknown key", "unknown top key"],
)
def test_a_bad_graph_document_is_refused_with_its_place(command, tmp_path, text, place):
    path = tmp_path / "graph.yaml"
    path.write_text(text)
    code, answer = command("submit", str(path))
    assert (code, answer["error"]["code"], answer["error"]["place"]) == (2, "graph_refused", str(path))
    assert place in json.dumps(answer["error"]["problems"])
    assert all(problem["remedy"] for problem in answer["error"]["problems"])


def test_a_graph_that_is_no_graph_is_refused_by_the_daemon(cluster):
    for data in (b"", b"\xff\xff", b"[" * 100_000, encode(digit_graph())[:-3]):
        error = call_unchecked(cluster, caller(cluster), submitting(pb.SubmitRequest(graph=data)))
        explained(error, GraphRefused)


def test_every_problem_of_a_graph_is_told_at_once(swarm):
    nodes = (Node("a", "vision:digti"), Node("b", "vision:digit"), Node("c", "report:per-digit"))
    edges = (Edge(Endpoint("b", "scores"), Endpoint("c", "lables")),)
    with pytest.raises(GraphRefused) as caught:
        swarm.submit(Graph("wrong", nodes, edges))
    text = explained(caught.value, GraphRefused)
    for word in ("vision:digti", "vision:digit", "image", "lables"):
        assert word in text


@pytest.mark.parametrize(
    "image",
    [np.zeros((1, 63), "f4"), np.zeros((1, 64), "f8"), np.zeros(64, "f4"), b"not a tensor", [1, 2]],
    ids=["size", "type", "dimensions", "bytes", "json"],
)
def test_an_input_that_does_not_fit_is_refused(swarm, image):
    with pytest.raises(GraphRefused) as caught:
        swarm.submit(digit_graph(), {"image": image})
    assert "image" in explained(caught.value, GraphRefused)


def test_an_input_that_is_missing_or_unknown_is_refused(swarm):
    with pytest.raises(GraphRefused) as caught:
        swarm.submit(digit_graph(), {"imgae": 1})
    text = explained(caught.value, GraphRefused)
    assert "image" in text
    assert "imgae" in text


# -- a gigabyte -----------------------------------------------------------------------------------------


def peak_bytes(cluster):
    """The most memory any daemon has held so far."""
    found = (Path(f"/proc/{cluster.pid(node)}/status").read_text() for node in cluster.nodes)
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) * 1024 for text in found)


@pytest.fixture
def sparse(tmp_path):
    """A file of a gigabyte that takes no room."""
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(GIB)
    return path


def test_an_input_larger_than_any_value_may_be_is_refused_before_it_is_read(command, tmp_path, sparse):
    os.truncate(sparse, limits.VALUE_BYTES_MAX + 1)
    path = tmp_path / "graph.yaml"
    path.write_text("graph: g\ninputs: {image: a.image}\nnodes: {a: {capability: 'vision:digit'}}\n")
    code, answer = command("submit", str(path), "--input", f"image=@{sparse}")
    assert (code, answer["error"]["code"]) == (2, "too_large")
    assert str(limits.VALUE_BYTES_MAX + 1) in answer["error"]["message"]
    assert answer["error"]["remedy"]


def test_a_large_input_that_does_not_fit_its_port_is_refused_without_being_held(
    cluster, command, tmp_path, sparse
):
    before = peak_bytes(cluster)
    path = tmp_path / "graph.yaml"
    path.write_text("graph: g\ninputs: {image: a.image}\nnodes: {a: {capability: 'vision:digit'}}\n")
    code, answer = command("submit", str(path), "--input", f"image=@{sparse}")
    assert code == 2, answer
    assert answer["error"]["problems"][0]["code"] == "wrong_kind", answer
    assert peak_bytes(cluster) - before < GIB // 2


def test_an_agent_file_of_a_gigabyte_is_refused_before_it_is_read(swarm, sparse):
    with pytest.raises(TooLarge) as caught:
        swarm.deploy(sparse)
    assert str(sparse) in explained(caught.value, TooLarge)


def test_a_message_above_the_bound_is_refused_by_the_daemon_without_holding_it(cluster):
    before = peak_bytes(cluster)
    request = pb.SubmitRequest(graph=bytes(limits.MESSAGE_BYTES_MAX + limits.MIB))
    error = call_unchecked(cluster, caller(cluster), submitting(request))
    assert isinstance(error, TooLarge)
    assert peak_bytes(cluster) - before < GROWTH_BYTES_MAX


@pytest.mark.parametrize("announced", [GIB, limits.AGENT_FILE_BYTES_MAX, 1000])
def test_an_upload_of_a_gigabyte_is_refused_without_being_held(cluster, announced):
    before = peak_bytes(cluster)
    chunk = bytes(limits.CHUNK_BYTES)

    async def endless():
        yield pb.DeployRequest(start=pb.DeployStart(size_bytes=announced, sha256="0" * 64))
        for _ in range(GIB // limits.CHUNK_BYTES):
            yield pb.DeployRequest(chunk=chunk)

    error = call_unchecked(cluster, caller(cluster), lambda stub: stub.Deploy(endless(), timeout=CALL_S))
    assert isinstance(error, TooLarge | ProtocolBroken)
    explained(error, SwarmError)
    assert peak_bytes(cluster) - before < GROWTH_BYTES_MAX


# -- who calls --------------------------------------------------------------------------------------------


def test_a_client_without_a_certificate_is_not_heard(cluster):
    credentials = grpc.ssl_channel_credentials(caller(cluster).authority.read_bytes())
    options = [("grpc.ssl_target_name_override", "n1")]

    async def scenario(channel):
        async with channel:
            await rpc.SwarmStub(channel).Status(pb.StatusRequest(), timeout=CALL_S)

    for make in (
        lambda: grpc.aio.secure_channel(cluster.addresses["n1"], credentials, options=options),
        lambda: grpc.aio.insecure_channel(cluster.addresses["n1"]),
    ):

        async def ask(make=make):
            await scenario(make())

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            asyncio.run(ask())
        explained(from_rpc(caught.value, "n1"), (Unreachable, NotTrusted))


def test_a_profile_without_a_certificate_is_refused_before_dialling(cluster, tmp_path):
    profile = ClusterProfile.load(cluster.profile_path)
    with pytest.raises(NotTrusted) as caught:
        Swarm.connect(profile.model_copy(update={"certificate": tmp_path / "none.pem"}))
    assert "none.pem" in explained(caught.value, NotTrusted)
    lines = [line for line in cluster.profile_path.read_text().splitlines() if "certificate:" not in line]
    (tmp_path / "client.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigRefused) as caught:
        Swarm.connect(tmp_path / "client.yaml")
    assert "certificate" in explained(caught.value, ConfigRefused)


def test_a_certificate_of_another_authority_is_refused(cluster, tmp_path):
    foreign = Authority.create(tmp_path / "ca", "test").issue_client(
        "mallory", Role.ADMINISTRATOR, tmp_path / "m"
    )
    profile = ClusterProfile.load(cluster.profile_path)
    mixed = profile.model_copy(update={"certificate": foreign.certificate, "key": foreign.key})
    with pytest.raises(NotTrusted) as caught:
        Swarm.connect(mixed)
    assert "not signed by this authority" in explained(caught.value, NotTrusted)
    with (
        pytest.raises(NotTrusted) as caught,
        Swarm.open(mixed.model_copy(update={"ca": foreign.authority})) as swarm,
    ):
        swarm.status()
    explained(caught.value, NotTrusted)
    error = call_unchecked(cluster, foreign, status, authority=caller(cluster).authority)
    explained(error, (Unreachable, NotTrusted))


def test_a_certificate_that_expired_is_refused(cluster, tmp_path):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    authority = Authority.load(cluster.data_dir / "authority")
    old = authority.issue_client(
        "late", Role.ADMINISTRATOR, tmp_path, validity=Validity(past, past + timedelta(days=1))
    )
    profile = ClusterProfile.load(cluster.profile_path)
    with pytest.raises(NotTrusted) as caught:
        Swarm.connect(profile.model_copy(update={"certificate": old.certificate, "key": old.key}))
    assert "expired on 2020-01-02" in explained(caught.value, NotTrusted)
    explained(call_unchecked(cluster, old, status), (Unreachable, NotTrusted))


def test_a_role_that_does_not_cover_it_is_refused(cluster, tmp_path):
    authority = Authority.load(cluster.data_dir / "authority")
    observer = authority.issue_client("watcher", Role.OBSERVER, tmp_path)
    profile = ClusterProfile.load(cluster.profile_path)
    update = {"certificate": observer.certificate, "key": observer.key}
    with Swarm.open(profile.model_copy(update=update)) as swarm:
        assert len(swarm.nodes()) == 3
        with pytest.raises(NotAllowed) as caught:
            swarm.submit(slow_graph(1, 0))
    explained(caught.value, NotAllowed)


def test_nobody_but_a_node_speaks_for_others(cluster):
    request = pb.SubmitRequest(graph=encode(slow_graph(1, 0)), on_behalf_of="alice")
    error = call_unchecked(cluster, caller(cluster), submitting(request))
    assert isinstance(error, NotAllowed)
    assert error.place == "on_behalf_of"
