"""A cluster founded by command grows by two machines while it works; their certificates renew themselves.

And with the authority taken offline an operator renews one by hand, without a restart.
"""

import contextlib
import json
import shutil
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from cryptography import x509

from swarm import Swarm
from swarm.adapters.tls import Authority, Validity
from swarm.cli import run
from swarm.daemons.keeper import SOURCE, Keeper
from swarm.daemons.layout import free_ports
from swarm.errors import SwarmError
from swarm.ids import NodeId
from swarm.trust import Role
from tests.integration.cluster import SLOW_AGENT, slow_graph

PATIENCE_S = 100
pytestmark = pytest.mark.timeout(300)  # several daemons start, perhaps on a busy machine
PASSPHRASE = "correct horse battery staple"


def soon(condition, seconds=PATIENCE_S):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(SwarmError, OSError):
            if found := condition():
                return found
        time.sleep(0.2)
    return None


class Founded:
    """Three coordinators, founded by `swarm init`; the first has the authority's key."""

    def __init__(self, root):
        self.root, self.keeper, self.home = root, Keeper(), root / "c"
        *ports, joining = free_ports(6)
        self.ports = dict(zip(("n1", "n2", "n3", "w4", "w5"), ports, strict=True))
        self.joining = f"127.0.0.1:{joining}"
        self.secret = root / "passphrase"
        self.secret.write_text(PASSPHRASE)
        self.secret.chmod(0o600)
        nodes = [part for name in ("n1", "n2", "n3") for part in ("--node", f"{name}={self.address(name)}")]
        found = ["init", str(self.home), "--name", "demo", *nodes, "--join", self.joining]
        assert run([*found, "--passphrase", f"file:{self.secret}"]) == 0
        for name in ("n1", "n2", "n3"):
            self.change(name, lambda settings: settings.update(trust={"agents": "any"}))
            self.start(name)
        self.profile = self.home / "admin.yaml"

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def change(self, name, how):
        path = self.home / name / "node.yaml"
        settings = yaml.safe_load(path.read_text())
        how(settings)
        path.write_text(yaml.safe_dump(settings))

    def start(self, name):
        self.keeper.spawn(name, self.home / name / "node.yaml", self.root / f"{name}.log")

    def log(self, name):
        return (self.root / f"{name}.log").read_text()

    def serial(self, name):
        """Of the certificate a node shows."""
        text = ssl.get_server_certificate(("127.0.0.1", self.ports[name]), timeout=PATIENCE_S)
        return x509.load_pem_x509_certificate(text.encode()).serial_number


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    founded = Founded(tmp_path_factory.mktemp("growing"))
    try:
        with Swarm.open(founded.profile) as swarm:
            assert soon(lambda: swarm.status().nodes_attached == 3), founded.log("n1")
            swarm.deploy(SLOW_AGENT)
        yield founded
    finally:
        founded.keeper.close()


@pytest.fixture(scope="module")
def grown(founded):
    """The fourth and the fifth machine, each by one command, while the others work."""
    with Swarm.open(founded.profile) as swarm:
        work = swarm.submit(slow_graph(30, 0.2))
        token = swarm.create_token("worker", 600_000, 2)
        for name in ("w4", "w5"):
            where = ["--name", name, "--listen", founded.address(name), "--dir", str(founded.home / name)]
            (founded.home / name).mkdir()
            subprocess.run(
                [sys.executable, "-m", "swarm", "join", "-", founded.joining, *where],
                input=token,
                text=True,
                check=True,
                cwd=SOURCE,
                timeout=PATIENCE_S,
                capture_output=True,
            )
            founded.change(name, lambda settings: settings.update(trust={"agents": "any"}))
            founded.start(name)
        assert soon(lambda: swarm.status().nodes_attached == 5), founded.log("w4")
        assert work.result()
        later = swarm.submit(slow_graph(30, 0.2))
        assert later.result()
        assert {"w4", "w5"} & {step.node for step in later.show().steps}
    return founded


def test_a_certificate_two_thirds_of_whose_life_are_gone_is_renewed_by_itself(grown):
    """The daemon runs all the while; its calendar is moved by giving it a certificate that is 21 days old."""
    now, pid = datetime.now(UTC), grown.keeper.pid("w4")
    authority = Authority.load(grown.home / "authority", PASSPHRASE.encode())
    old = Validity(now - timedelta(days=21), now + timedelta(days=9))
    identity = grown.home / "w4" / "identity"
    authority.issue_node(NodeId("w4"), ["127.0.0.1"], identity, role=Role.WORKER, validity=old)
    aged = x509.load_pem_x509_certificate((identity / "certificate.pem").read_bytes()).serial_number
    with Swarm.open(grown.profile) as swarm:
        assert soon(lambda: {c.serial for c in current(swarm, "w4") if c.origin == "renewal"})
        assert soon(lambda: f"{grown.serial('w4'):x}" in {c.serial for c in current(swarm, "w4")})
        assert grown.serial("w4") != aged
        assert all(
            c.not_after_ms / 1000 > (now + timedelta(days=29)).timestamp() for c in current(swarm, "w4")
        )
        assert swarm.status().nodes_attached == 5
        assert swarm.submit(slow_graph(4, 0)).result()
    assert grown.keeper.pid("w4") == pid
    assert "node lost" not in grown.log("n1") + grown.log("n2") + grown.log("n3")


def current(swarm, name):
    return [c for c in swarm.certificates() if c.id == name and c.state == "valid"]


def test_with_the_authority_offline_an_operator_signs_by_hand_and_nothing_is_restarted(
    grown, tmp_path, capsys
):
    offline = tmp_path / "usb-stick"
    shutil.copytree(grown.home / "authority", offline)
    grown.keeper.end("n1", 15)
    grown.change("n1", lambda settings: settings.pop("join"))
    (grown.home / "authority" / "authority-key.pem").unlink()
    grown.start("n1")
    with Swarm.open(grown.profile) as swarm:
        assert soon(lambda: swarm.status().nodes_attached == 5), grown.log("n1")
        pid, before = grown.keeper.pid("n2"), grown.serial("n2")
        assert swarm.rotate_certificates(["n2"]) == ["n2"]
        assert soon(lambda: "swarm certs sign" in grown.log("n2"))
        identity = grown.home / "n2" / "identity"
        assert f"swarm certs sign {identity}/renewal/request.pem" in grown.log("n2")
        capsys.readouterr()
        sign = ["certs", "sign", str(identity / "renewal" / "request.pem")]
        sign += ["--current", str(identity / "certificate.pem"), "--authority", str(offline)]
        assert run([*sign, "--passphrase", f"file:{grown.secret}", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)["certificate"]
        (identity / "renewal" / "certificate.pem").write_text(answer)
        assert soon(lambda: grown.serial("n2") != before)
        assert grown.keeper.pid("n2") == pid
        assert swarm.status().nodes_attached == 5
