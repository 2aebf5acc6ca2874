"""Another certificate for the same identity: asked for, answered, put in place whatever is interrupted."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from swarm.adapters.tls import Authority, TlsIdentity, Validity
from swarm.adapters.tls.authority import AUTHORITY_FILE
from swarm.adapters.tls.renewal import Renewal, due_at, proven_key
from swarm.errors import NotTrusted
from swarm.ids import NodeId
from swarm.trust import Role


@pytest.fixture
def world(tmp_path):
    authority = Authority.create(tmp_path / "ca", "demo")
    files = authority.issue_node(NodeId("n4"), ["127.0.0.1", "n4.lan"], tmp_path / "n4", role=Role.WORKER)
    return authority, files


def signed(authority, files, request):
    held = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return authority.renew(proven_key(x509.load_pem_x509_csr(request)), held)


def names(files):
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_another_certificate_says_the_same_of_another_key(world):
    authority, files = world
    before, key = names(files), files.key.read_bytes()
    renewal = Renewal(files)
    request = renewal.request()
    assert renewal.request() == request  # asked again until there is an answer
    assert not renewal.finish()
    renewal.answer(signed(authority, files, request))
    assert renewal.finish()
    assert names(files) == before
    assert files.key.read_bytes() != key
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert not renewal.directory.exists()
    assert TlsIdentity.load(files).identity.uri == "spiffe://demo/node/worker/n4"


def test_what_was_interrupted_between_two_files_is_finished_at_the_next_start(world):
    authority, files = world
    renewal = Renewal(files)
    renewal.answer(signed(authority, files, renewal.request()))
    files.key.write_bytes((renewal.directory / "key.pem").read_bytes())  # and then the power failed
    with pytest.raises(NotTrusted):
        TlsIdentity.load(files)
    assert Renewal(files).finish()
    TlsIdentity.load(files)


def test_an_answer_for_somebody_else_or_another_key_is_put_aside(world, tmp_path):
    authority, files = world
    before = files.certificate.read_bytes()
    other = authority.issue_node(NodeId("n5"), ["127.0.0.1"], tmp_path / "n5", role=Role.WORKER)
    renewal = Renewal(files)
    request = renewal.request()
    held = x509.load_pem_x509_certificate(other.certificate.read_bytes())
    somebody_else = authority.renew(proven_key(x509.load_pem_x509_csr(request)), held)
    for answer in (somebody_else, before, b"rubbish"):
        renewal.answer(answer)
        with pytest.raises(NotTrusted):
            renewal.finish()
        assert not renewal.finish()
        assert files.certificate.read_bytes() == before
    renewal.answer(signed(authority, files, request))
    assert renewal.finish()


def test_what_another_authority_signed_is_not_renewed(world, tmp_path):
    authority, files = world
    evil = Authority.create(tmp_path / "evil", "demo")
    forged = evil.issue_node(NodeId("n4"), ["127.0.0.1"], tmp_path / "forged", role=Role.COORDINATOR)
    with pytest.raises(NotTrusted, match="did not sign"):
        signed(authority, forged, Renewal(files).request())
    (files.key.parent / AUTHORITY_FILE).unlink()


def test_a_certificate_is_due_when_two_thirds_of_its_life_are_gone(world, tmp_path):
    authority, _ = world
    start = datetime(2026, 1, 1, tzinfo=UTC)
    held = Validity(start, start + timedelta(days=30))
    files = authority.issue_client("ann", Role.CLIENT, tmp_path / "ann", validity=held)
    assert due_at(files.certificate.read_bytes()) == start + timedelta(days=20)
