"""A cluster on certificates of another authority: SPIFFE identities, an intermediate, its own host names."""

import contextlib
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarm import Swarm
from swarm.cli import run
from swarm.daemons.keeper import Keeper
from swarm.daemons.layout import free_ports
from swarm.errors import NotTrusted, SwarmError
from tests.integration.cluster import SLOW_AGENT, slow_graph

PATIENCE_S = 100
pytestmark = pytest.mark.timeout(300)  # several daemons start, perhaps on a busy machine
TRUST = "spiffe://example.org"
IDENTITIES = [
    {"uri": f"{TRUST}/prod/n1", "name": "n1", "role": "coordinator"},
    {"uri": f"{TRUST}/prod/worker/*", "role": "worker"},
    {"uri": f"{TRUST}/people/admin/*", "role": "administrator"},
]
SERVER_NAME = "{}.nodes.example.org"


class CompanyAuthority:
    """A root, an intermediate that signs, and the bundle of roots a company hands out."""

    def __init__(self):
        self.root_key, self.key = (
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        self.root = certificate("root", self.root_key, "root", self.root_key, authority=True)
        self.middle = certificate("issuing", self.key, "root", self.root_key, authority=True)
        another_key = ec.generate_private_key(ec.SECP256R1())
        another = certificate("old root", another_key, "old root", another_key, authority=True)
        self.bundle = pem(another) + pem(self.root)

    def issue(self, directory, uri, *names):
        """An SVID as a SPIFFE agent writes it: the certificate, its chain and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        san = [x509.UniformResourceIdentifier(uri), *map(x509.DNSName, names)]
        leaf = certificate("", key, "issuing", self.key, san=san)
        directory.mkdir(exist_ok=True)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / "key.pem").write_bytes(secret)
        (directory / "svid.pem").write_bytes(pem(leaf) + pem(self.middle))
        (directory / "bundle.pem").write_bytes(self.bundle)
        files = {"ca": "bundle.pem", "certificate": "svid.pem", "key": "key.pem"}
        return {**files, "identities": IDENTITIES, "server_name": SERVER_NAME}


def pem(made):
    return made.public_bytes(serialization.Encoding.PEM)


def certificate(subject, key, issuer, issuer_key, *, authority=False, san=()):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=not subject)
    return builder.sign(issuer_key, hashes.SHA256())


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


class Company:
    """A coordinator, a worker and an administrator with the company's certificates."""

    def __init__(self, root):
        self.root, self.authority, self.keeper = root, CompanyAuthority(), Keeper()
        self.ports = free_ports(2)
        self.coordinators = {"n1": f"127.0.0.1:{self.ports[0]}"}
        self.node("n1", f"{TRUST}/prod/n1", self.ports[0])
        self.node("w1", f"{TRUST}/prod/worker/w1", self.ports[1])
        self.profile = self.client("ann", f"{TRUST}/people/admin/ann")

    def node(self, name, uri, port):
        home = self.root / name
        tls = self.authority.issue(home, uri, SERVER_NAME.format(name))
        settings = {
            "cluster": "demo",
            "node": name,
            "data_dir": "data",
            "listen": f"127.0.0.1:{port}",
            "coordinators": self.coordinators,
            "tls": tls,
            "trust": {"agents": "any"},
        }
        (home / "node.yaml").write_text(yaml.safe_dump(settings))
        self.keeper.spawn(name, home / "node.yaml", self.root / f"{name}.log")

    def client(self, name, uri):
        home = self.root / name
        tls = self.authority.issue(home, uri)
        path = home / "profile.yaml"
        path.write_text(yaml.safe_dump({"cluster": "demo", "endpoints": self.coordinators, **tls}))
        return path

    def logs(self):
        return "\n".join(path.read_text() for path in self.root.glob("*.log"))


def soon(condition):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(SwarmError):
            if found := condition():
                return found
        time.sleep(0.2)
    return None


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    company = Company(tmp_path_factory.mktemp("company"))
    try:
        with Swarm.open(company.profile) as swarm:
            assert soon(lambda: swarm.status().nodes_attached == 2), company.logs()
        yield company
    finally:
        company.keeper.close()


def test_nodes_and_people_are_who_the_list_says(company):
    with Swarm.open(company.profile) as swarm:
        assert {node.node: node.role for node in swarm.nodes()} == {"n1": "leader", "w1": "worker"}
        swarm.deploy(SLOW_AGENT)
        assert swarm.submit(slow_graph(4, 0)).result()
        assert soon(
            lambda: (
                {(c.id, c.role) for c in swarm.certificates()}
                >= {("n1", "coordinator"), ("w1", "worker"), ("ann", "administrator")}
            )
        )


@pytest.mark.parametrize(
    "uri", [f"{TRUST}/people/intern/bob", "spiffe://demo/client/administrator/eve", f"{TRUST}/people/admin/A"]
)
def test_whoever_is_not_on_the_list_is_refused_though_the_authority_vouches_for_them(company, uri):
    profile = company.client("stranger", uri)
    assert run(["status", "--cluster", str(profile), "--json"]) == 1  # it sees that by itself
    settings = yaml.safe_load(profile.read_text())
    settings["identities"] = [
        {"uri": uri, "name": "bob", "role": "administrator"}
    ]  # and one that lies to itself
    profile.write_text(yaml.safe_dump(settings))
    with Swarm.open(profile) as swarm, pytest.raises(NotTrusted, match="stands for nobody"):
        swarm.status()


def test_a_certificate_the_companys_agent_exchanges_is_shown_from_the_next_handshake_on(company):
    def shown():
        text = ssl.get_server_certificate(("127.0.0.1", company.ports[0]), timeout=PATIENCE_S)
        return x509.load_pem_x509_certificate(text.encode()).serial_number

    before = shown()
    company.authority.issue(company.root / "n1", f"{TRUST}/prod/n1", SERVER_NAME.format("n1"))
    with Swarm.open(company.profile) as swarm:
        assert soon(lambda: shown() != before)
        assert swarm.status().nodes_attached == 2
    assert "node lost" not in company.logs()


def test_a_revoked_name_is_refused_in_a_foreign_certificate_too(company):
    profile = company.client("eve", f"{TRUST}/people/admin/eve")
    with Swarm.open(profile) as eve, Swarm.open(company.profile) as swarm:
        assert eve.status().cluster == "demo"
        assert soon(lambda: "eve" in {each.id for each in swarm.certificates()})
        swarm.revoke("eve", "left")
        with pytest.raises(NotTrusted, match="eve was revoked: left"):
            eve.status()


def test_a_list_that_makes_no_sense_is_refused_with_its_line(company, tmp_path, capsys):
    text = (company.root / "n1" / "node.yaml").read_text().replace("role: worker", "role: emperor")
    (tmp_path / "node.yaml").write_text(text)
    assert run(["node", "--config", str(tmp_path / "node.yaml")]) == 2
    assert "tls.identities.1.role" in capsys.readouterr().err
