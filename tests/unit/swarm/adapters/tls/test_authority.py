"""What the authority puts into certificates and onto the disk."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from swarm.adapters.tls import Authority, load_proof
from swarm.adapters.tls.authority import AUTHORITY_KEY_FILE
from swarm.errors import ConfigRefused, Conflict, NotTrusted
from swarm.trust import Role


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "ca", "demo")


def certificate_of(files):
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def test_a_nodes_certificate_carries_one_identity_its_id_and_its_hosts(authority, tmp_path):
    files = authority.issue_node("n1", ["127.0.0.1", "host.example", "::1"], tmp_path / "n1")
    names = extension(certificate_of(files), x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://demo/node/n1"]
    assert names.get_values_for_type(x509.DNSName) == ["n1", "host.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert load_proof(files).identity.name == "n1"


def test_a_client_may_only_call_and_answers_to_no_host(authority, tmp_path):
    certificate = certificate_of(authority.issue_client("alice", Role.ADMINISTRATOR, tmp_path / "alice"))
    assert list(extension(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = extension(certificate, x509.SubjectAlternativeName)
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://demo/client/administrator/alice")]


def test_no_issued_certificate_can_issue_another(authority, tmp_path):
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    assert extension(root, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
    leaf = certificate_of(authority.issue_node("n1", [], tmp_path / "n1"))
    assert extension(leaf, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
    assert not extension(leaf, x509.KeyUsage).key_cert_sign


def test_a_certificate_lasts_thirty_days_and_is_backdated_against_clocks_that_differ(authority, tmp_path):
    certificate = certificate_of(authority.issue_node("n1", [], tmp_path / "n1"))
    now = datetime.now(UTC)
    assert timedelta(minutes=4) < now - certificate.not_valid_before_utc < timedelta(minutes=6)
    assert timedelta(days=29, hours=23) < certificate.not_valid_after_utc - now <= timedelta(days=30)


def test_keys_are_for_their_owner_alone(authority, tmp_path):
    files = authority.issue_node("n1", [], tmp_path / "n1")
    for path in (files.key, tmp_path / "ca" / AUTHORITY_KEY_FILE):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for directory in (tmp_path / "n1", tmp_path / "ca"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_loaded_authority_goes_on_issuing_for_the_same_cluster(authority, tmp_path):
    again = Authority.load(tmp_path / "ca")
    assert (again.cluster, again.certificate_pem) == ("demo", authority.certificate_pem)
    assert load_proof(again.issue_node("n2", [], tmp_path / "n2")).identity.cluster == "demo"


def test_an_authority_is_never_overwritten(authority, tmp_path):
    with pytest.raises(Conflict):
        Authority.create(tmp_path / "ca", "demo")


def test_an_authority_whose_key_was_swapped_is_refused(authority, tmp_path):
    Authority.create(tmp_path / "other", "demo")
    (tmp_path / "other" / AUTHORITY_KEY_FILE).rename(tmp_path / "ca" / AUTHORITY_KEY_FILE)
    with pytest.raises(ConfigRefused, match="do not belong together"):
        Authority.load(tmp_path / "ca")


def test_a_missing_authority_is_refused_with_its_place(tmp_path):
    with pytest.raises(ConfigRefused, match=str(tmp_path)):
        Authority.load(tmp_path)


@pytest.mark.parametrize("cluster", ["", "Demo", "a/b", "a b"])
def test_a_cluster_needs_a_usable_name(tmp_path, cluster):
    with pytest.raises(ConfigRefused):
        Authority.create(tmp_path / "ca", cluster)


def test_a_node_cannot_be_given_a_clients_role_nor_a_senseless_host(authority, tmp_path):
    with pytest.raises(NotTrusted):
        authority.issue_node("n1", [], tmp_path / "n1", role=Role.ADMINISTRATOR)
    with pytest.raises(ConfigRefused, match="neither an address nor a host name"):
        authority.issue_node("n1", ["not a host"], tmp_path / "n1")
    assert not (tmp_path / "n1").exists()
