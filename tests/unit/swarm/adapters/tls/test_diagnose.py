"""Each fault in a process's own files is found before a handshake and said in words."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from swarm.adapters.tls import Authority, IdentityFiles, load_proof
from swarm.adapters.tls.authority import Validity
from swarm.errors import NotTrusted
from swarm.trust import Role


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "ca", "demo")


@pytest.fixture
def files(authority, tmp_path):
    return authority.issue_node("n1", ["127.0.0.1"], tmp_path / "n1")


def problems(files, now=None):
    with pytest.raises(NotTrusted) as caught:
        load_proof(files, now)
    for problem in caught.value.problems:
        assert problem.place
        assert problem.message
        assert problem.remedy
    return {problem.code: problem for problem in caught.value.problems}


def test_good_files_prove_an_identity_and_hide_the_key_in_print(files):
    proof = load_proof(files)
    assert proof.identity.uri == "spiffe://demo/node/n1"
    assert "PRIVATE" not in repr(proof)


@pytest.mark.parametrize("name", ["certificate", "key", "authority"])
def test_a_missing_file_is_named(files, name):
    path = getattr(files, name)
    path.unlink()
    found = problems(files)
    assert found["unreadable"].place == str(path)


@pytest.mark.parametrize("name", ["certificate", "key", "authority"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 100])
def test_a_file_that_is_no_pem_is_named(files, name, content):
    path = getattr(files, name)
    path.write_bytes(content)
    found = problems(files)
    assert found.keys() & {"malformed", "unreadable"}


def test_a_huge_file_is_not_read_whole(files):
    with files.certificate.open("wb") as file:
        file.truncate(1 << 30)
    assert "too_large" in problems(files)


def test_an_expired_certificate_is_named_with_its_date(authority, tmp_path):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    files = authority.issue_node(
        "n1", [], tmp_path / "old", validity=Validity(past, past + timedelta(days=30))
    )
    assert "2020-01-31" in problems(files)["expired"].message


def test_a_certificate_from_the_future_points_at_the_clock(files):
    found = problems(files, datetime.now(UTC) - timedelta(days=1))
    assert "clock" in found["not_yet_valid"].remedy


def test_another_authority_is_recognised_even_under_the_same_name(files, tmp_path):
    Authority.create(tmp_path / "evil", "demo").issue_node("n1", [], tmp_path / "n1-evil")
    stolen = IdentityFiles(files.certificate, files.key, tmp_path / "n1-evil" / "authority.pem")
    assert "wrong_authority" in problems(stolen)


def test_a_key_of_another_certificate_is_recognised(authority, files, tmp_path):
    other = authority.issue_node("n2", [], tmp_path / "n2")
    assert "wrong_key" in problems(IdentityFiles(files.certificate, other.key, files.authority))


def test_a_key_of_another_kind_is_recognised(files):
    key = ed25519.Ed25519PrivateKey.generate()
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert {"wrong_key", "wrong_algorithm"} <= problems(files).keys()


def test_the_authoritys_own_certificate_is_nobodys_identity(files, tmp_path):
    files.certificate.write_bytes(files.authority.read_bytes())
    assert "no_identity" in problems(files)


def test_every_fault_is_reported_at_once(authority, files, tmp_path):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    old = authority.issue_client(
        "alice", Role.CLIENT, tmp_path / "a", validity=Validity(past, past + timedelta(days=1))
    )
    evil = Authority.create(tmp_path / "evil", "demo").issue_node("n1", [], tmp_path / "e")
    found = problems(IdentityFiles(old.certificate, files.key, evil.authority))
    assert {"expired", "wrong_key", "wrong_authority"} <= found.keys()
