"""What a daemon bears from strangers: old protocols, silence, dribble, floods; with real `openssl`."""

import asyncio
import contextlib
import re
import resource
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import grpc
import grpc.aio
import pytest
import yaml

from swarm import Swarm
from swarm.adapters.rpc.errors import from_rpc
from swarm.adapters.tls import IdentityFiles, TlsIdentity
from swarm.adapters.tls.credentials import CONNECTIONS_MAX, HANDSHAKE_MS_MAX, METADATA_BYTES_MAX
from swarm.cli import run
from swarm.daemons.config import NodeConfig
from swarm.daemons.local import LocalCluster
from swarm.errors import ConfigRefused
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen.client_pb2_grpc import SwarmStub

PATIENCE_S = 60
FLOOD = 300
CLOSED_S = HANDSHAKE_MS_MAX / 1000 + PATIENCE_S
HUNG_UP = re.compile(rb"alert|unexpected eof|Connection reset|Broken pipe")  # TLS 1.3 learns of it afterwards
OLD = ["-cipher", "ALL:@SECLEVEL=0"]  # what openssl itself would not offer any more
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with LocalCluster(tmp_path_factory.mktemp("exposed") / "c", 1, cluster="test") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def files(cluster):
    return IdentityFiles.within(cluster.data_dir / "client")


@pytest.fixture(params=["grpc", "join"])
def port(request, cluster):
    """Each port a daemon listens on, and whether it wants a certificate."""
    settings = yaml.safe_load((cluster.home("n1") / "node.yaml").read_text())
    address = cluster.addresses["n1"] if request.param == "grpc" else settings["join"]["listen"]
    return address, request.param == "grpc"


def place(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def served(cluster):
    """Whether somebody with a certificate is served over a connection of their own."""
    with Swarm.open(cluster.profile_path) as swarm:
        return swarm.status().leader == "n1"


# -- versions and ciphers ------------------------------------------------------------------------------------


def s_client(address, *arguments):
    """What `openssl s_client` says; where it stays connected it is let go after it heard from the server."""
    command = ["openssl", "s_client", "-brief", "-alpn", "h2", "-connect", address, *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = []
    reading = threading.Thread(target=lambda: said.append(process.stdout.read()))
    reading.start()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.5)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(PATIENCE_S)
        reading.join(PATIENCE_S)
        process.stdout.close()
    return said[0]


def shown(files):
    return ["-cert", str(files.certificate), "-key", str(files.key), "-CAfile", str(files.authority)]


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1", "-tls1_2"])
def test_older_versions_of_tls_are_refused_on_every_port(port, files, version):
    address, _ = port
    said = s_client(address, version, *OLD, *shown(files))
    assert b"CONNECTION ESTABLISHED" not in said, said
    assert re.search(rb"alert|wrong version|unsupported protocol|unexpected eof|handshake failure", said), (
        said
    )


@pytest.mark.parametrize(
    ("suite", "accepted"),
    [
        ("TLS_AES_128_GCM_SHA256", True),
        ("TLS_AES_256_GCM_SHA384", True),
        ("TLS_CHACHA20_POLY1305_SHA256", True),
        ("TLS_AES_128_CCM_SHA256", False),
        ("TLS_AES_128_CCM_8_SHA256", False),
    ],
)
def test_tls_1_3_is_spoken_with_strong_ciphers_alone(port, files, suite, accepted):
    address, _ = port
    said = s_client(address, "-tls1_3", "-ciphersuites", suite, *shown(files))
    assert (b"CONNECTION ESTABLISHED" in said) is accepted, said
    assert (suite.encode() in said) is accepted
    assert not accepted or b"Protocol version: TLSv1.3" in said


@pytest.mark.parametrize("suite", ["NULL", "aNULL", "RC4", "DES", "3DES", "MD5", "EXPORT", "CBC", "kRSA"])
def test_weak_ciphers_of_older_versions_are_refused(port, files, suite):
    address, _ = port
    command = ["openssl", "ciphers", f"{suite}:@SECLEVEL=0"]
    if suite == "CBC":
        suite = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384"
    elif subprocess.run(command, capture_output=True, check=False).returncode:
        suite = f"{suite}:ALL:!AESGCM:!CHACHA20:!AESCCM"  # this openssl has none of them: all that are weak
    said = s_client(address, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", *shown(files))
    assert b"CONNECTION ESTABLISHED" not in said, said


def test_without_a_certificate_or_with_a_strangers_nobody_gets_past_the_handshake(cluster, files, tmp_path):
    address = cluster.addresses["n1"]
    assert not HUNG_UP.search(s_client(address, "-tls1_3", *shown(files)))
    assert HUNG_UP.search(s_client(address, "-tls1_3"))
    own = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made = ["-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c"), "-subj", "/CN=local"]
    uri = ["-addext", "subjectAltName=URI:spiffe://test/client/administrator/local"]
    subprocess.run(["openssl", *own, *made, *uri], check=True, capture_output=True)
    said = s_client(address, "-tls1_3", "-cert", str(tmp_path / "c"), "-key", str(tmp_path / "k"))
    assert HUNG_UP.search(said), said


# -- where it listens --------------------------------------------------------------------------------------


def test_a_daemon_listens_on_loopback_unless_told_otherwise():
    assert NodeConfig.model_fields["listen"].default.startswith("127.0.0.1:")


@pytest.mark.parametrize("tls", [None, {}, "off", False, {"enabled": False}])
def test_there_is_no_way_to_listen_without_certificates(cluster, tmp_path, tls):
    settings = yaml.safe_load((cluster.home("n1") / "node.yaml").read_text())
    settings.pop("join")
    del settings["tls"]
    settings |= {"listen": "0.0.0.0:7101", "advertise": cluster.addresses["n1"]}
    settings |= {} if tls is None else {"tls": tls}
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigRefused) as caught:
        NodeConfig.load(path)
    assert any("tls" in problem.place for problem in caught.value.problems)
    assert run(["node", "--config", str(path), "--json"]) == 2


# -- slowness and floods -----------------------------------------------------------------------------------


def connected(address):
    return socket.create_connection(place(address), timeout=PATIENCE_S)


def files_open(cluster):
    return sum(1 for _ in Path(f"/proc/{cluster.pid('n1')}/fd").iterdir())


@contextlib.contextmanager
def nothing_left_behind(cluster):
    """The daemon is the same, and has as many files open as before."""
    pid, before = cluster.pid("n1"), files_open(cluster)
    yield
    assert cluster.pid("n1") == pid
    until = time.monotonic() + CLOSED_S
    while files_open(cluster) > before + 10 and time.monotonic() < until:
        time.sleep(0.2)
    assert files_open(cluster) <= before + 10
    assert served(cluster)


def hello(files=None):
    """The first bytes of a TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(heard, said).do_handshake()
    return said.read()


def test_hundreds_that_say_nothing_or_half_a_hello_are_sent_away_and_harm_nobody(cluster):
    address, first = cluster.addresses["n1"], hello()
    with nothing_left_behind(cluster):
        silent = [connected(address) for _ in range(FLOOD)]
        for number, one in enumerate(silent):
            one.sendall(first[: number % len(first)])
        for one in silent[::3]:  # and go on, a byte now and then
            with contextlib.suppress(OSError):
                one.sendall(b"\x00")
            assert one is not None
        assert served(cluster)
        for one in silent:
            with contextlib.suppress(ConnectionError):
                assert drained(one)
            one.close()


def test_more_connections_than_there_are_places_take_none_from_a_caller(cluster):
    """All from one address, and they say nothing: the oldest are sent away to make room."""
    address, (soft, hard) = cluster.addresses["n1"], resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(CONNECTIONS_MAX + 200, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 200), hard))
    try:
        with nothing_left_behind(cluster), contextlib.ExitStack() as stack:
            for number in range(wanted):
                with contextlib.suppress(OSError):
                    stack.enter_context(connected(address))
                if number % 400 == 0:
                    assert served(cluster)
            assert served(cluster)
            assert "strangers were sent away" in cluster.log_path("n1").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def drained(one):
    """Whether the server, which had something to say, hangs up in the end."""
    while one.recv(4096):
        pass
    return True


def test_a_byte_every_second_buys_no_more_time_than_silence(cluster):
    first, began = hello(), time.monotonic()
    with connected(cluster.addresses["n1"]) as slow:
        slow.settimeout(1.0)
        for number in range(len(first) - 1):
            try:
                slow.sendall(first[number : number + 1])
                if slow.recv(64) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
            assert time.monotonic() - began < CLOSED_S
        else:
            pytest.fail("it may take as long as it likes")
    assert served(cluster)


def test_hundreds_of_handshakes_without_a_certificate_harm_nobody(cluster):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    refused = []

    def knock():
        for _ in range(FLOOD // 4):
            try:
                with connected(cluster.addresses["n1"]) as raw, context.wrap_socket(raw) as secured:
                    refused.append(secured.recv(64))
            except OSError as error:
                refused.append(error)

    with nothing_left_behind(cluster):
        knocking = [threading.Thread(target=knock) for _ in range(4)]
        for one in knocking:
            one.start()
        while any(one.is_alive() for one in knocking):
            assert served(cluster)
        assert len(refused) == FLOOD // 4 * 4
        assert all(isinstance(one, OSError) or one == b"" for one in refused)


def test_who_has_a_certificate_and_dribbles_the_preface_is_sent_away_too(cluster, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    with nothing_left_behind(cluster), contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(context.wrap_socket(connected(cluster.addresses["n1"]))) for _ in range(20)
        ]
        for one in slow:
            one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM")  # the last four bytes never come
        assert served(cluster)
        for one in slow:
            one.settimeout(CLOSED_S)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert drained(one)


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 70_000, b"\x00" * 9]
)
def test_rubbish_ends_its_own_connection_alone(port, cluster, rubbish):
    address, _ = port
    with connected(address) as one:
        one.settimeout(CLOSED_S)
        with contextlib.suppress(ConnectionError):
            one.sendall(rubbish)
            assert drained(one)
    assert served(cluster)


def test_a_call_whose_metadata_are_larger_than_any_of_ours_is_refused(cluster, files):
    identity = TlsIdentity.load(files)

    async def scenario():
        async with identity.channel(cluster.addresses["n1"], "n1") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await SwarmStub(channel).Status(
                    pb.StatusRequest(),
                    metadata=(("padding", "x" * 4 * METADATA_BYTES_MAX),),
                    timeout=PATIENCE_S,
                )
            assert caught.value.code() is not grpc.StatusCode.UNAVAILABLE, from_rpc(caught.value, "n1")
            assert (await SwarmStub(channel).Status(pb.StatusRequest(), timeout=PATIENCE_S)).node == "n1"

    asyncio.run(scenario())


def test_one_address_cannot_take_every_place_at_the_join_port(cluster):
    settings = yaml.safe_load((cluster.home("n1") / "node.yaml").read_text())
    silent = [connected(settings["join"]["listen"]) for _ in range(40)]
    turned_away = 0
    for one in silent:
        one.settimeout(0.5)
        try:
            turned_away += one.recv(1) == b""
        except TimeoutError:
            pass
        except ConnectionError:
            turned_away += 1
    assert turned_away >= 40 - 16
    for one in silent:
        one.close()
    assert served(cluster)
